#include "server/store/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"
#include "tests/unit/store/folder.h"

namespace parley {
namespace {

v1::JournalRecord Opened(int64_t round) {
  v1::JournalRecord record;
  record.mutable_round_opened()->set_round(round);
  record.mutable_round_opened()->add_cohort()->set_client(
      std::string(round, 'c'));
  return record;
}

std::vector<int64_t> Rounds(const JournalContents& contents) {
  std::vector<int64_t> rounds;
  for (const auto& record : contents.records) {
    rounds.push_back(record.round_opened().round());
  }
  return rounds;
}

TEST(Journal, ReadsBackWhatWasAppended) {
  const std::string path = TestFolder() + "/journal";
  for (int64_t start : {1, 3}) {
    JournalContents before;
    ASSERT_OK_AND_ASSIGN(const auto journal, Journal::Open(path, &before));
    EXPECT_EQ(before.records.size(), start - 1);
    EXPECT_OK(journal->Append(Opened(start)));
    EXPECT_OK(journal->Append(Opened(start + 1)));
    EXPECT_OK(journal->Sync());
  }
  ASSERT_OK_AND_ASSIGN(const JournalContents contents, ReadJournal(path));
  EXPECT_THAT(Rounds(contents), ::testing::ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(contents.torn_bytes, 0);
  EXPECT_EQ(contents.records[3].round_opened().cohort(0).client(), "cccc");
}

// A crash may leave any first part of the file.
TEST(Journal, RecoversFromATruncationAtEveryByte) {
  const std::string path = TestFolder() + "/journal";
  std::vector<size_t> ends;  // of the magic and of each record
  {
    ASSERT_OK_AND_ASSIGN(const auto journal, Journal::Open(path, nullptr));
    ends.push_back(ReadAll(path).size());
    for (int64_t round = 1; round <= 3; ++round) {
      ASSERT_OK(journal->Append(Opened(round)));
      ends.push_back(ReadAll(path).size());
    }
  }
  const std::string whole = ReadAll(path);
  for (size_t size = 0; size <= whole.size(); ++size) {
    WriteAll(path, whole.substr(0, size));
    int64_t records = 0;
    while (records < 3 && ends[records + 1] <= size) ++records;
    JournalContents contents;
    {
      ASSERT_OK_AND_ASSIGN(const auto journal, Journal::Open(path, &contents));
      ASSERT_EQ(contents.records.size(), records) << size;
      ASSERT_OK(journal->Append(Opened(9)));
    }
    ASSERT_OK_AND_ASSIGN(contents, ReadJournal(path));
    ASSERT_EQ(contents.records.size(), records + 1) << size;
    ASSERT_EQ(contents.records.back().round_opened().round(), 9);
    ASSERT_EQ(contents.torn_bytes, 0);
  }
}

TEST(Journal, CutsOffAtTheFirstRecordThatIsDamaged) {
  const std::string path = TestFolder() + "/journal";
  size_t first_end;
  {
    ASSERT_OK_AND_ASSIGN(const auto journal, Journal::Open(path, nullptr));
    ASSERT_OK(journal->Append(Opened(1)));
    first_end = ReadAll(path).size();
    ASSERT_OK(journal->Append(Opened(2)));
  }
  const std::string whole = ReadAll(path);
  for (size_t at = first_end; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    WriteAll(path, damaged);
    ASSERT_OK_AND_ASSIGN(const JournalContents contents, ReadJournal(path));
    ASSERT_THAT(Rounds(contents), ::testing::ElementsAre(1)) << at;
    ASSERT_EQ(contents.torn_bytes, whole.size() - first_end);
  }
  // What a power failure leaves where blocks were not written.
  WriteAll(path, whole + std::string(5000, '\0'));
  ASSERT_OK_AND_ASSIGN(const JournalContents contents, ReadJournal(path));
  EXPECT_THAT(Rounds(contents), ::testing::ElementsAre(1, 2));
}

TEST(Journal, RefusesOtherFiles) {
  const std::string path = TestFolder() + "/journal";
  EXPECT_THAT(ReadJournal(path), StatusIs(absl::StatusCode::kNotFound, path));
  WriteAll(path, "PRLYJNL2 of another version");
  EXPECT_THAT(Journal::Open(path, nullptr),
              StatusIs(absl::StatusCode::kInvalidArgument, "not a journal"));
  EXPECT_EQ(ReadAll(path), "PRLYJNL2 of another version");
}

}  // namespace
}  // namespace parley
