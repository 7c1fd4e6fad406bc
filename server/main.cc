// parley-server: the coordinator of one run.
#include "server/program/server_program.h"

int main(int argc, char** argv) { return parley::ServerMain(argc, argv, {}); }
