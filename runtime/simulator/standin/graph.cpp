// The entry points about graphs: nodes in an order in which they may run, run one after the other.
#include <algorithm>
#include <set>

#include "runtime/simulator/standin/driver.h"

namespace hone::standin {
namespace {

constexpr int kKernelNode = 0, kMemcpyNode = 1, kMemsetNode = 2, kHostNode = 3, kGraphNode = 4,
              kEmptyNode = 5;

Graph& graph_at(Driver& driver, void* handle) {
  Graph* graph = driver.graphs.find(handle);
  require(graph != nullptr, kInvalidValue);
  return *graph;
}

Status add(void** handle, void* graph_handle, void* const* after, std::size_t count, int type,
           const std::function<std::function<void(Stream&)>(Driver&)>& make) {
  return call([&](Driver& driver) {
    Graph& graph = graph_at(driver, graph_handle);
    require(handle != nullptr && (after != nullptr || count == 0), kInvalidValue);
    auto node = std::make_unique<Graph::Node>();
    for (std::size_t i = 0; i < count; ++i) {
      const auto known = std::find_if(graph.nodes.begin(), graph.nodes.end(),
                                      [&](const auto& one) { return one.get() == after[i]; });
      require(known != graph.nodes.end(), kInvalidValue);
      node->after.push_back(known->get());
    }
    node->type = type;
    node->work = make(driver);
    *handle = node.get();
    graph.nodes.push_back(std::move(node));
  });
}

// Nodes behind everything that they wait for. Fails on a circle.
std::vector<Graph::Node*> in_order(const Graph& graph) {
  std::vector<Graph::Node*> order;
  std::set<const Graph::Node*> done;
  while (order.size() < graph.nodes.size()) {
    const std::size_t before = order.size();
    for (const auto& node : graph.nodes) {
      if (done.count(node.get()) > 0) continue;
      if (!std::all_of(node->after.begin(), node->after.end(),
                       [&](const Graph::Node* other) { return done.count(other) > 0; }))
        continue;
      done.insert(node.get());
      order.push_back(node.get());
    }
    require(order.size() > before, kInvalidValue);
  }
  return order;
}

std::unique_ptr<Graph> copied(const Graph& graph) {
  auto made = std::make_unique<Graph>();
  std::map<const Graph::Node*, Graph::Node*> twins;
  for (Graph::Node* node : in_order(graph)) {
    auto twin = std::make_unique<Graph::Node>(*node);
    for (Graph::Node*& other : twin->after) other = twins.at(other);
    twin->handle = node;
    twins[node] = twin.get();
    made->nodes.push_back(std::move(twin));
  }
  return made;
}

std::function<void(Stream&)> kernel_work(Driver& driver, const KernelNode& kernel) {
  const Launch launch =
      prepare(driver, kernel.function != nullptr ? kernel.function : kernel.kernel, kernel.grid,
              kernel.block, kernel.shared_bytes, kernel.parameters, kernel.extra, false);
  return [&driver, launch](Stream& stream) { execute(driver, launch, stream); };
}

}  // namespace

HONE_DRIVER Status cuGraphCreate(void** handle, unsigned flags) {
  return call([&](Driver& driver) {
    require(handle != nullptr && flags == 0, kInvalidValue);
    *handle = driver.graphs.add(std::make_unique<Graph>());
  });
}

HONE_DRIVER Status cuGraphDestroy(void* handle) {
  return call([&](Driver& driver) { require(driver.graphs.erase(handle), kInvalidValue); });
}

HONE_DRIVER Status cuGraphClone(void** handle, void* graph) {
  return call([&](Driver& driver) {
    require(handle != nullptr, kInvalidValue);
    *handle = driver.graphs.add(copied(graph_at(driver, graph)));
  });
}

HONE_DRIVER Status cuGraphGetNodes(void* graph_handle, void** nodes, std::size_t* count) {
  return call([&](Driver& driver) {
    const Graph& graph = graph_at(driver, graph_handle);
    require(count != nullptr, kInvalidValue);
    if (nodes != nullptr)
      for (std::size_t i = 0; i < *count; ++i)
        nodes[i] = i < graph.nodes.size() ? graph.nodes[i].get() : nullptr;
    *count = nodes == nullptr ? graph.nodes.size() : std::min(*count, graph.nodes.size());
  });
}

HONE_DRIVER Status cuGraphNodeGetType(void* handle, int* type) {
  return call([&](Driver& driver) {
    require(type != nullptr, kInvalidValue);
    for (const auto& [key, graph] : driver.graphs)
      for (const auto& node : graph->nodes)
        if (node.get() == handle) {
          *type = node->type;
          return;
        }
    fail(kInvalidValue);
  });
}

HONE_DRIVER Status cuGraphAddKernelNode_v2(void** handle, void* graph, void* const* after,
                                           std::size_t count, const KernelNode* kernel) {
  if (kernel == nullptr) return kInvalidValue;
  return add(handle, graph, after, count, kKernelNode,
             [&](Driver& driver) { return kernel_work(driver, *kernel); });
}
HONE_DRIVER Status cuGraphAddKernelNode(void** handle, void* graph, void* const* after,
                                        std::size_t count, const KernelNode* kernel) {
  return cuGraphAddKernelNode_v2(handle, graph, after, count, kernel);
}

HONE_DRIVER Status cuGraphExecKernelNodeSetParams_v2(void* executable, void* node,
                                                     const KernelNode* kernel) {
  return call([&](Driver& driver) {
    Graph* graph = driver.executables.find(executable);
    require(graph != nullptr && kernel != nullptr, kInvalidValue);
    const auto found = std::find_if(graph->nodes.begin(), graph->nodes.end(), [&](const auto& one) {
      return one->type == kKernelNode && one->handle == node;
    });
    require(found != graph->nodes.end(), kInvalidValue);
    (*found)->work = kernel_work(driver, *kernel);
  });
}
HONE_DRIVER Status cuGraphExecKernelNodeSetParams(void* executable, void* node,
                                                  const KernelNode* kernel) {
  return cuGraphExecKernelNodeSetParams_v2(executable, node, kernel);
}

HONE_DRIVER Status cuGraphAddMemcpyNode(void** handle, void* graph, void* const* after,
                                        std::size_t count, const Copy3D* copy, void*) {
  if (copy == nullptr) return kInvalidValue;
  return add(handle, graph, after, count, kMemcpyNode, [&](Driver& driver) {
    return [&driver, made = *copy](Stream& stream) {
      copy_3d(driver, made);
      stream.time += copy_seconds(driver, made.width * made.height * made.depth, false);
    };
  });
}

HONE_DRIVER Status cuGraphAddMemsetNode(void** handle, void* graph, void* const* after,
                                        std::size_t count, const MemsetNode* set, void*) {
  if (set == nullptr) return kInvalidValue;
  return add(handle, graph, after, count, kMemsetNode, [&](Driver& driver) {
    return [&driver, made = *set](Stream&) {
      set_memory(driver, made.to, made.pitch, made.value, made.element_bytes, made.width,
                 made.height);
    };
  });
}

HONE_DRIVER Status cuGraphAddHostNode(void** handle, void* graph, void* const* after,
                                      std::size_t count, const HostNode* host) {
  if (host == nullptr || host->function == nullptr) return kInvalidValue;
  return add(handle, graph, after, count, kHostNode,
             [&](Driver&) { return [made = *host](Stream&) { made.function(made.data); }; });
}

HONE_DRIVER Status cuGraphAddEmptyNode(void** handle, void* graph, void* const* after,
                                       std::size_t count) {
  return add(handle, graph, after, count, kEmptyNode, [](Driver&) { return [](Stream&) {}; });
}

HONE_DRIVER Status cuGraphAddChildGraphNode(void** handle, void* graph, void* const* after,
                                            std::size_t count, void* child) {
  return add(handle, graph, after, count, kGraphNode, [&](Driver& driver) {
    const std::shared_ptr<Graph> inner = copied(graph_at(driver, child));
    return [inner](Stream& stream) {
      for (const auto& node : inner->nodes) node->work(stream);
    };
  });
}

HONE_DRIVER Status cuGraphAddDependencies(void* graph_handle, void* const* from, void* const* to,
                                          std::size_t count) {
  return call([&](Driver& driver) {
    const Graph& graph = graph_at(driver, graph_handle);
    const auto find = [&](const void* handle) {
      for (const auto& node : graph.nodes)
        if (node.get() == handle) return node.get();
      fail(kInvalidValue);
    };
    for (std::size_t i = 0; i < count; ++i) find(to[i])->after.push_back(find(from[i]));
  });
}

HONE_DRIVER Status cuGraphAddDependencies_v2(void* graph, void* const* from, void* const* to,
                                             const void*, std::size_t count) {
  return cuGraphAddDependencies(graph, from, to, count);
}

HONE_DRIVER Status cuGraphInstantiateWithFlags(void** handle, void* graph, unsigned long long) {
  return call([&](Driver& driver) {
    require(handle != nullptr, kInvalidValue);
    *handle = driver.executables.add(copied(graph_at(driver, graph)));
  });
}
HONE_DRIVER Status cuGraphInstantiate_v2(void** handle, void* graph, void** node, char* log,
                                         std::size_t bytes) {
  if (node != nullptr) *node = nullptr;
  if (log != nullptr && bytes > 0) log[0] = '\0';
  return cuGraphInstantiateWithFlags(handle, graph, 0);
}
HONE_DRIVER Status cuGraphInstantiate(void** handle, void* graph, void** node, char* log,
                                      std::size_t bytes) {
  return cuGraphInstantiate_v2(handle, graph, node, log, bytes);
}
HONE_DRIVER Status cuGraphUpload(void* handle, void* stream) {
  return call([&](Driver& driver) {
    driver.stream(stream);
    require(driver.executables.find(handle) != nullptr, kInvalidValue);
  });
}
HONE_DRIVER Status cuGraphExecDestroy(void* handle) {
  return call([&](Driver& driver) { require(driver.executables.erase(handle), kInvalidValue); });
}
HONE_DRIVER Status cuGraphLaunch(void* handle, void* stream_handle) {
  return call([&](Driver& driver) {
    Stream& stream = driver.stream(stream_handle);
    Graph* graph = driver.executables.find(handle);
    require(graph != nullptr, kInvalidValue);
    require(stream.capture == nullptr, kCaptureUnsupported);
    for (const auto& node : graph->nodes) node->work(stream);
  });
}

}  // namespace hone::standin
