// The program. Commands register themselves.
int main() { return 2; }
