// The program parley-client: the models that Parley has.
#ifndef PARLEY_CLIENT_PROGRAM_BUILTIN_CLIENT_H_
#define PARLEY_CLIENT_PROGRAM_BUILTIN_CLIENT_H_

namespace parley {

int BuiltinClientMain(int argc, char** argv);

}  // namespace parley

#endif  // PARLEY_CLIENT_PROGRAM_BUILTIN_CLIENT_H_
