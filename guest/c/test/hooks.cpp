// The hooks in C++.
#include "hooks.c"
