// Does not compile.
//! serves   cpu
//! param    never 0
//! launch   main 1 1 1 1
//! start    never=0

HONE_KERNEL(main) {
  this is no C++;
}
