// The databases that a reader sees as one: the user's, which grows, over the system's, which ships.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tuning_db/database.h"

namespace hone {

// Each answer joins both layers; the user's rows win ties:
// - The same (device, problem, template hash, config) in both: the user's trial counts, even if it
//   failed here.
// - Final rounds don't mix. Of a (device, problem) with one in both, the round whose winner was
//   faster counts; the other's rows are given as if they had been in none.
// - Per (problem, device, layout) the first in the order of ranks_before() remains.
// Not thread safe. Throws what Database throws.
class Layers {
 public:
  // Either may be absent; a file that isn't there counts as an empty layer.
  static Layers open(const std::optional<std::filesystem::path>& user,
                     const std::optional<std::filesystem::path>& system);
  static Layers open_default() { return open(user_database(), system_database()); }

  bool empty() const { return !user_ && !system_; }
  const Database* user() const { return user_ ? &*user_ : nullptr; }
  const Database* system() const { return system_ ? &*system_ : nullptr; }

  std::vector<DeviceIdentity> devices() const;
  Ceilings ceilings(const std::string& device) const;  // the user's when there are any
  std::optional<Trial> find_trial(const std::string& device, const std::string& problem,
                                  const Hash& template_hash, const std::string& config) const;
  std::vector<Trial> trials(const std::string& device, const std::string& problem,
                            std::vector<std::string>* skipped = nullptr) const;

  // As in Database. Problems together, the user's first.
  std::vector<Best> best_of_handle(const std::string& device, const std::string& handle,
                                   const Database::Valid& valid) const;
  std::vector<Best> best_of_op(const std::string& op, const Database::Valid& valid) const;
  std::vector<Best> best(const Database::Valid& valid) const;
  std::vector<Best> modelled_of_op(const std::string& op) const;

  std::optional<std::string> binary(const Hash& source, const std::string& target) const;

 private:
  template <class Ask>
  std::vector<Best> join(const Database::Valid& valid, const Ask& ask) const;

  std::optional<Database> user_;
  std::optional<Database> system_;
};

}  // namespace hone
