// Package archtest tests the tree itself: which package may import which, that
// packages say what they are for, what every table must be like, and that each
// promise is still held where it is said to be. It has no code but its tests.
//
// The rules are data, at the top of their files:
//
//   - rooms, in imports_test.go: the import table;
//   - exemptTables, in tables_test.go: the tables that do not grow with customers;
//   - promises, in promises_test.go: constraints, code and tests, by promise.
//
// A change that needs a rule changed changes the rule in the same commit, with
// its reason. Each checker has a test that shows it something bad.
package archtest
