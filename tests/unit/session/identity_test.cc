#include "client/state/identity.h"

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

class IdentityTest : public ::testing::Test {
 protected:
  IdentityTest()
      : folder_(
            ::testing::TempDir() + "identity_test." +
            ::testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
  }
  ~IdentityTest() override { std::filesystem::remove_all(folder_); }

  const std::string folder_;
};

TEST_F(IdentityTest, NamesHaveACharacterSetAndALength) {
  EXPECT_OK(CheckClientName("a"));
  EXPECT_OK(CheckClientName("Site_7.north-2"));
  EXPECT_OK(CheckClientName(std::string(128, 'x')));
  for (const std::string& bad :
       {std::string(), std::string("a b"), std::string("a/b"),
        std::string("\xc3\xa4"), std::string(129, 'x')}) {
    EXPECT_THAT(CheckClientName(bad),
                StatusIs(absl::StatusCode::kInvalidArgument, "no client name"));
  }
}

TEST_F(IdentityTest, MakesANameOnceAndKeepsIt) {
  ASSERT_OK_AND_ASSIGN(const std::string first, ClientName("", folder_));
  EXPECT_OK(CheckClientName(first));
  ASSERT_OK_AND_ASSIGN(const std::string again, ClientName("", folder_));
  EXPECT_EQ(again, first);
  ASSERT_OK_AND_ASSIGN(const std::string other, ClientName("", ""));
  EXPECT_NE(other, first);
}

TEST_F(IdentityTest, AGivenNameWins) {
  ASSERT_OK(ClientName("", folder_));
  ASSERT_OK_AND_ASSIGN(const std::string name, ClientName("ann", folder_));
  EXPECT_EQ(name, "ann");
  EXPECT_THAT(ClientName("not this", folder_),
              StatusIs(absl::StatusCode::kInvalidArgument, "not this"));
}

TEST_F(IdentityTest, RefusesAFileThatHoldsNoName) {
  std::filesystem::create_directories(folder_);
  std::ofstream(folder_ + "/name") << "two words\n";
  EXPECT_THAT(ClientName("", folder_),
              StatusIs(absl::StatusCode::kInvalidArgument, folder_ + "/name"));
}

TEST_F(IdentityTest, IncarnationsDiffer) {
  EXPECT_NE(NewIncarnation(), NewIncarnation());
}

}  // namespace
}  // namespace parley
