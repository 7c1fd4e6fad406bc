#include "common/base/flags.h"

#include "tests/support/status_matchers.h"

namespace parley {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Table {
  bool insecure = false;
  std::string name = "default";
  int64_t threads = 2;
  double seconds = 1.5;
  std::optional<int64_t> port;
  std::vector<std::string> server;
  Flags flags{{.program = "prog",
               .arguments = "FILE",
               .about = "Does it.\n",
               .notes = "Examples:\n  prog a\n",
               .max_arguments = 2}};

  Table() {
    flags.Add("insecure", &insecure, "", "Allow plaintext.");
    flags.Add("name", &name, "NAME", "The name.\nOf the client.");
    flags.Add("threads", &threads, "N", "Threads.");
    flags.Add("seconds", &seconds, "S", "Seconds.");
    flags.Add("port", &port, "PORT", "Port.");
    flags.Add("server", &server, "HOST:PORT", "Servers.");
  }
};

TEST(FlagsTest, ReadsEveryKindInBothForms) {
  Table t;
  ASSERT_OK(t.flags.Parse({"--insecure", "--name", "a=b", "file",
                           "--threads=-3", "--seconds", "2e-3", "--server=x:1",
                           "--server", "y:2", "--port=0", "--", "--name"}));
  EXPECT_TRUE(t.insecure);
  EXPECT_EQ(t.name, "a=b");
  EXPECT_EQ(t.threads, -3);
  EXPECT_EQ(t.seconds, 2e-3);
  EXPECT_EQ(t.port, 0);
  EXPECT_THAT(t.server, ElementsAre("x:1", "y:2"));
  EXPECT_THAT(t.flags.arguments(), ElementsAre("file", "--name"));
}

TEST(FlagsTest, KeepsDefaults) {
  Table t;
  ASSERT_OK(t.flags.Parse({"--insecure=false"}));
  EXPECT_FALSE(t.insecure);
  EXPECT_EQ(t.name, "default");
  EXPECT_FALSE(t.port.has_value());
}

TEST(FlagsTest, RefusesWithAReason) {
  const std::pair<std::vector<absl::string_view>, const char*> cases[] = {
      {{"--nmae", "x"}, "unknown flag --nmae; did you mean --name?"},
      {{"--sever=x"}, "did you mean --server?"},
      {{"--zzzzzzzz"}, "unknown flag --zzzzzzzz"},
      {{"-n"}, "two dashes"},
      {{"--name"}, "--name needs a value: --name NAME"},
      {{"--name", "a", "--name", "b"}, "--name given twice"},
      {{"--threads", "3.5"}, "\"3.5\" is not a whole number"},
      {{"--seconds="}, "\"\" is not a number"},
      {{"--insecure=maybe"}, "is not true or false"},
      {{"a", "b", "c"}, "unexpected argument \"c\""},
  };
  for (const auto& [args, message] : cases) {
    Table t;
    EXPECT_THAT(t.flags.Parse(args),
                StatusIs(absl::StatusCode::kInvalidArgument, message));
  }
}

TEST(FlagsTest, AsksForMissingArguments) {
  Flags flags({.program = "p",
               .arguments = "FILE",
               .about = "",
               .notes = "",
               .min_arguments = 1,
               .max_arguments = 1});
  EXPECT_THAT(flags.Parse({}), StatusIs(absl::StatusCode::kInvalidArgument,
                                        "missing argument: FILE"));
}

TEST(FlagsTest, HelpAndVersionWinOverTheRest) {
  Table t;
  ASSERT_OK(t.flags.Parse({"--help", "--nonsense"}));
  EXPECT_TRUE(t.flags.help_asked());
  EXPECT_THAT(t.flags.Help(), HasSubstr("Usage: prog FILE [flags]"));
  EXPECT_THAT(t.flags.Help(),
              HasSubstr("  --name NAME         The name.\n"
                        "                      Of the client.\n"));
  EXPECT_THAT(t.flags.Help(), HasSubstr("Examples:\n  prog a\n"));
}

TEST(FlagsTest, ParseMainTellsTheExitCode) {
  Table t;
  const char* bad[] = {"prog", "--wrong"};
  EXPECT_EQ(t.flags.ParseMain(2, bad), kExitUsage);
  Table u;
  const char* version[] = {"prog", "--version"};
  EXPECT_EQ(u.flags.ParseMain(2, version), 0);
  Table v;
  const char* good[] = {"prog", "file"};
  EXPECT_EQ(v.flags.ParseMain(2, good), std::nullopt);
}

}  // namespace
}  // namespace parley
