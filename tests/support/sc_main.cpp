// SPDX-License-Identifier: Apache-2.0
// The SystemC library wants this symbol; the tests have a main of their own.
extern "C" int sc_main(int, char**) {
  return 0;
}
