// Package checks prints the lines of checks.py, for Go programs.
package checks

import (
	"context"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"sync/atomic"
	"time"
)

var made atomic.Int64

// That records one check.
func That(holds bool, name string, seen any) bool {
	made.Add(1)
	if holds {
		fmt.Printf("ok %s\n", name)
	} else {
		fmt.Printf("FAILED %s: saw %.300s\n", name, fmt.Sprint(seen))
	}
	return holds
}

// Equal records whether what was seen is what was expected.
func Equal(seen, expected any, name string) bool {
	return That(reflect.DeepEqual(seen, expected), name,
		fmt.Sprintf("%.300s, expected %.300s", fmt.Sprint(seen), fmt.Sprint(expected)))
}

// Must panics on an error; Run turns that into a failed check.
func Must(err error) {
	if err != nil {
		panic(err)
	}
}

// Run calls a body that makes checks. A panic, or no check at all, is a failed check.
func Run(name string, body func()) {
	before := made.Load()
	defer func() {
		if problem := recover(); problem != nil {
			That(false, name, problem)
		} else if made.Load() == before {
			That(false, name, "that it checked nothing")
		}
	}()
	body()
}

// Within is a context that ends after some seconds.
func Within(seconds int) context.Context {
	made, _ := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	return made
}

// Eventually asks until the condition holds, for at most two minutes.
func Eventually(condition func() bool) bool {
	ticks := time.NewTicker(20 * time.Millisecond)
	defer ticks.Stop()
	for over := time.After(120 * time.Second); ; {
		if condition() {
			return true
		}
		select {
		case <-ticks.C:
		case <-over:
			return condition()
		}
	}
}

// Numbers are the values as numbers, in rising order.
func Numbers(values []string) []int {
	numbers := make([]int, 0, len(values))
	for _, value := range values {
		number, err := strconv.Atoi(value)
		Must(err)
		numbers = append(numbers, number)
	}
	sort.Ints(numbers)
	return numbers
}

// Range is from, from+1, ... to-1.
func Range(from, to int) []int {
	numbers := make([]int, 0, to-from)
	for number := from; number < to; number++ {
		numbers = append(numbers, number)
	}
	return numbers
}
