// The program. Commands register themselves.
#include "tuner/command.h"

int main(int count, char** words) { return hone::run_program({words + 1, words + count}); }
