// parley-client: trains where the data is.
#include "client/program/builtin_client.h"

int main(int argc, char** argv) {
  return parley::BuiltinClientMain(argc, argv);
}
