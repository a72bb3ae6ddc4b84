// Package model holds the words that every other package speaks: identities, the job that a
// user asked for, the tasks it is made of, what tasks report, and why they fail.
//
// It imports nothing of Sluice, does no I/O and starts no goroutine. Its values are plain data:
// they are copied between packages and must not be changed once they were handed on.
package model
