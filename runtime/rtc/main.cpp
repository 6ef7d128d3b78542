// hone-rtc: a vendor's runtime compiler in a process of its own, where it may crash or hang alone.
//
//   hone-rtc nvrtc|hiprtc LIBRARY version
//   hone-rtc nvrtc|hiprtc LIBRARY compile SOURCE OUTPUT OPTION...
//
// `compile` writes OUTPUT.code (cubin, or code object) and, from NVRTC, OUTPUT.ptx. The compiler's
// log goes to stdout. Exit status: 0, 1 the source was refused, 2 wrong usage, 3 the library can't
// be used, 4 a file can't be read or written.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

enum Exit { kDone = 0, kRefused = 1, kUsage = 2, kNoLibrary = 3, kNoFile = 4 };

[[noreturn]] void end(Exit status, const std::string& message) {
  std::printf("%s\n", message.c_str());
  std::fflush(stdout);
  std::_Exit(status);
}

// The two libraries have the same interface, but for names and for what comes out.
class Compiler {
 public:
  Compiler(const std::string& kind, const std::string& path) : prefix_(kind), path_(path) {
    library_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library_ == nullptr) end(kNoLibrary, dlerror());
  }

  std::string version() const {
    int major = 0, minor = 0;
    check(function<int (*)(int*, int*)>("Version")(&major, &minor), "version");
    return std::to_string(major) + "." + std::to_string(minor);
  }

  // The log; `*refused` when the source is not good.
  std::string compile(const std::string& source, const std::vector<const char*>& options,
                      bool* refused) {
    using Create =
        int (*)(void**, const char*, const char*, int, const char* const*, const char* const*);
    check(
        function<Create>("CreateProgram")(&program_, source.c_str(), "kernel", 0, nullptr, nullptr),
        "creating a program");
    const int status = function<int (*)(void*, int, const char* const*)>("CompileProgram")(
        program_, static_cast<int>(options.size()), options.data());
    *refused = status != 0;
    std::string log = text("GetProgramLogSize", "GetProgramLog");
    while (!log.empty() && (log.back() == '\0' || log.back() == '\n')) log.pop_back();
    if (status != 0 && log.empty()) log = error(status);
    return log;
  }

  std::string text(const char* size_name, const char* text_name) const {
    std::size_t size = 0;
    check(function<int (*)(void*, std::size_t*)>(size_name)(program_, &size), size_name);
    std::string text(size, '\0');
    if (size > 0)
      check(function<int (*)(void*, char*)>(text_name)(program_, text.data()), text_name);
    return text;
  }

 private:
  template <typename Function>
  Function function(const char* name) const {
    void* symbol = dlsym(library_, (prefix_ + name).c_str());
    if (symbol == nullptr) end(kNoLibrary, path_ + " has no " + prefix_ + name);
    return reinterpret_cast<Function>(symbol);
  }

  std::string error(int status) const {
    return function<const char* (*)(int)>("GetErrorString")(status);
  }

  void check(int status, const char* what) const {
    if (status != 0) end(kNoLibrary, path_ + ": " + what + ": " + error(status));
  }

  std::string prefix_, path_;
  void* library_ = nullptr;
  void* program_ = nullptr;
};

void write_file(const std::string& file, const std::string& content) {
  std::ofstream out(file, std::ios::binary);
  out.write(content.data(), static_cast<std::streamsize>(content.size()));
  out.close();
  if (!out) end(kNoFile, "can't write " + file);
}

}  // namespace

int main(int count, char** words) {
  const std::string kind = count > 1 ? words[1] : "";
  const std::string what = count > 3 ? words[3] : "";
  const bool compile = what == "compile" && count >= 6;
  if ((kind != "nvrtc" && kind != "hiprtc") || (!compile && what != "version"))
    end(kUsage, "usage: hone-rtc nvrtc|hiprtc LIBRARY version | compile SOURCE OUTPUT OPTION...");
  Compiler compiler(kind, words[2]);
  if (!compile) end(kDone, compiler.version());

  std::ifstream in(words[4], std::ios::binary);
  std::ostringstream source;
  if (!(source << in.rdbuf())) end(kNoFile, std::string("can't read ") + words[4]);
  const std::vector<const char*> options(words + 6, words + count);
  bool refused = false;
  const std::string log = compiler.compile(source.str(), options, &refused);
  if (refused) end(kRefused, log);
  const std::string output = words[5];
  if (kind == "nvrtc") {
    std::string ptx = compiler.text("GetPTXSize", "GetPTX");
    if (!ptx.empty() && ptx.back() == '\0') ptx.pop_back();
    write_file(output + ".ptx", ptx);
    write_file(output + ".code", compiler.text("GetCUBINSize", "GetCUBIN"));
  } else {
    write_file(output + ".code", compiler.text("GetCodeSize", "GetCode"));
  }
  end(kDone, log);
}
