#include "tools/study/study_progress.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

namespace parley {
namespace {

std::vector<Cell> TwoCells() {
  std::vector<Cell> cells(2);
  cells[0].name = "local_gd-L1";
  cells[1].name = "local_gd-L8";
  for (Cell& cell : cells) cell.config.mutable_stop()->set_rounds(40);
  return cells;
}

CellState StateOf(CellState::Kind kind, int64_t rounds) {
  CellState state;
  state.kind = kind;
  state.rounds = rounds;
  return state;
}

TEST(StudyProgressTest, TheLiveLineTellsCellsRoundAndTimeLeft) {
  const std::vector<CellState> states = {StateOf(CellState::kFinished, 40),
                                         StateOf(CellState::kRunning, 7)};
  EXPECT_EQ(FormatStudyLine(TwoCells(), states, absl::Seconds(83)),
            "cells 1/2 [##########..........]  ETA 1:23  local_gd-L8 round "
            "7/40");
  EXPECT_EQ(FormatStudyLine(TwoCells(), {CellState(), CellState()},
                            absl::ZeroDuration()),
            "cells 0/2 [....................]");
}

TEST(StudyProgressTest, ACellsEndIsALine) {
  CellState state = StateOf(CellState::kFailed, 3);
  state.seconds = 3725;
  state.reason = "no clients";
  EXPECT_EQ(FormatCellLine(TwoCells(), 1, {CellState(), state}, state),
            "cell 1/2 local_gd-L8 failed after 3 rounds in 1:02:05: no "
            "clients");
  state = StateOf(CellState::kFinished, 40);
  state.seconds = 2.04;
  EXPECT_EQ(FormatCellLine(TwoCells(), 0, {state, CellState()}, state),
            "cell 1/2 local_gd-L1 finished after 40 rounds in 2.0 s");
}

TEST(StudyProgressTest, WhereThereIsNoTerminalNothingIsLive) {
  std::FILE* const file = std::tmpfile();
  {
    StudyProgress progress(file);
    EXPECT_FALSE(progress.terminal());
    progress.Update("live");
    progress.Say("a line");
  }
  std::rewind(file);
  char text[100] = {};
  EXPECT_EQ(std::fread(text, 1, sizeof(text), file), 7);
  EXPECT_EQ(std::string(text), "a line\n");
  std::fclose(file);
}

}  // namespace
}  // namespace parley
