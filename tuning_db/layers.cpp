#include "tuning_db/layers.h"

#include <algorithm>
#include <map>
#include <utility>

namespace hone {
namespace {

std::optional<Database> open_if_there(const std::optional<std::filesystem::path>& file) {
  std::error_code ignored;
  if (!file ||
      std::filesystem::status(*file, ignored).type() == std::filesystem::file_type::not_found) {
    return std::nullopt;
  }
  return Database(*file, Database::Mode::kRead);
}

// The rows of one problem on one device, from each layer.
struct Rows {
  std::vector<Best> user;
  std::vector<Best> system;
};

void leave_round(std::vector<Best>& rows) {
  for (Best& row : rows) row.preference = row.final_ns = 0;
}

std::vector<Best> joined(Rows rows) {
  const auto users = winner_time(rows.user);
  const auto systems = winner_time(rows.system);
  if (users && systems) leave_round(*systems < *users ? rows.user : rows.system);

  std::vector<Best> best = std::move(rows.user);
  for (Best& row : rows.system) {
    const auto here = std::find_if(best.begin(), best.end(),
                                   [&](const Best& other) { return other.layout == row.layout; });
    if (here == best.end()) {
      best.push_back(std::move(row));
    } else if (ranks_before(row, *here)) {
      *here = std::move(row);
    }
  }
  std::stable_sort(best.begin(), best.end(), ranks_before);
  return best;
}

}  // namespace

Layers Layers::open(const std::optional<std::filesystem::path>& user,
                    const std::optional<std::filesystem::path>& system) {
  Layers layers;
  layers.user_ = open_if_there(user);
  layers.system_ = open_if_there(system);
  return layers;
}

std::vector<DeviceIdentity> Layers::devices() const {
  std::vector<DeviceIdentity> all;
  for (const auto* layer : {&user_, &system_}) {
    if (!*layer) continue;
    for (DeviceIdentity& device : (*layer)->devices()) {
      const auto known = std::find_if(all.begin(), all.end(), [&](const DeviceIdentity& other) {
        return other.key() == device.key();
      });
      if (known == all.end()) all.push_back(std::move(device));
    }
  }
  return all;
}

Ceilings Layers::ceilings(const std::string& device) const {
  Ceilings limits;
  if (user_) limits = user_->ceilings(device);
  if (limits.empty() && system_) limits = system_->ceilings(device);
  return limits;
}

std::optional<Trial> Layers::find_trial(const std::string& device, const std::string& problem,
                                        const Hash& template_hash,
                                        const std::string& config) const {
  std::optional<Trial> trial;
  if (user_) trial = user_->find_trial(device, problem, template_hash, config);
  if (!trial && system_) trial = system_->find_trial(device, problem, template_hash, config);
  return trial;
}

std::vector<Trial> Layers::trials(const std::string& device, const std::string& problem,
                                  std::vector<std::string>* skipped) const {
  std::vector<Trial> all;
  if (user_) all = user_->trials(device, problem, skipped);
  if (!system_) return all;
  const std::size_t users = all.size();
  for (Trial& trial : system_->trials(device, problem, skipped)) {
    const bool replaced = std::any_of(
        all.begin(), all.begin() + static_cast<std::ptrdiff_t>(users), [&](const Trial& other) {
          return other.template_hash == trial.template_hash && other.config == trial.config;
        });
    if (!replaced) all.push_back(std::move(trial));
  }
  return all;
}

template <class Ask>
std::vector<Best> Layers::join(const Database::Valid& valid, const Ask& ask) const {
  if (!system_) return user_ ? ask(*user_, valid) : std::vector<Best>();
  if (!user_) return ask(*system_, valid);

  std::map<std::pair<std::string, std::string>, std::size_t> place;
  std::vector<Rows> groups;
  const auto group = [&](const Best& row) -> Rows& {
    const auto [slot, added] = place.try_emplace({row.problem, row.device}, groups.size());
    return added ? groups.emplace_back() : groups[slot->second];
  };
  for (Best& row : ask(*user_, valid)) group(row).user.push_back(std::move(row));
  const Database::Valid not_replaced = [&](const Trial& trial) {
    return valid(trial) &&
           !user_->find_trial(trial.device, trial.problem, trial.template_hash, trial.config);
  };
  for (Best& row : ask(*system_, not_replaced)) group(row).system.push_back(std::move(row));

  std::vector<Best> best;
  for (Rows& rows : groups) {
    for (Best& row : joined(std::move(rows))) best.push_back(std::move(row));
  }
  return best;
}

std::vector<Best> Layers::best_of_handle(const std::string& device, const std::string& handle,
                                         const Database::Valid& valid) const {
  return join(valid, [&](const Database& layer, const Database::Valid& accept) {
    return layer.best_of_handle(device, handle, accept);
  });
}

std::vector<Best> Layers::best_of_op(const std::string& op, const Database::Valid& valid) const {
  return join(valid, [&](const Database& layer, const Database::Valid& accept) {
    return layer.best_of_op(op, accept);
  });
}

std::vector<Best> Layers::best(const Database::Valid& valid) const {
  return join(valid, [&](const Database& layer, const Database::Valid& accept) {
    return layer.best(accept);
  });
}

std::vector<Best> Layers::modelled_of_op(const std::string& op) const {
  std::vector<Best> all;
  if (user_) all = user_->modelled_of_op(op);
  if (system_)
    for (Best& row : system_->modelled_of_op(op)) all.push_back(std::move(row));
  return all;
}

std::optional<std::string> Layers::binary(const Hash& source, const std::string& target) const {
  std::optional<std::string> code;
  if (user_) code = user_->binary(source, target);
  if (!code && system_) code = system_->binary(source, target);
  return code;
}

}  // namespace hone
