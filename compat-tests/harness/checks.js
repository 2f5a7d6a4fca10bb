// checks.js: the lines of checks.py, for JavaScript programs.
'use strict';

const { isDeepStrictEqual } = require('util');

const short = (value) => {
  const text = value instanceof Error ? value.stack : JSON.stringify(value);
  return text === undefined || text.length <= 300 ? `${text}` : `${text.slice(0, 300)}… (${text.length} characters)`;
};

const checks = {
  made: 0,
  that(holds, name, seen = '') {
    checks.made += 1;
    console.log(holds ? `ok ${name}` : `FAILED ${name}: ${short(seen)}`);
    return holds;
  },
  equal(seen, expected, name) {
    return checks.that(isDeepStrictEqual(seen, expected), name, { seen, expected });
  },
  // Run a body that makes checks. What it throws, or that it made none, is a failed check.
  async run(name, body, ...rest) {
    const before = checks.made;
    try {
      await body(...rest);
      if (checks.made === before) checks.that(false, name, 'it checked nothing');
    } catch (error) {
      console.log(error);
      checks.that(false, name, error);
    }
  },
};

// Resolve when `condition()` is true; ask again whenever `poke()` says that something changed.
class Waiter {
  constructor() { this.waiting = []; }

  poke() {
    this.waiting = this.waiting.filter(({ condition, resolve, timer }) => {
      if (!condition()) return true;
      clearTimeout(timer);
      resolve(true);
      return false;
    });
  }

  until(condition, seconds = 40) {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const entry = { condition, resolve };
      entry.timer = setTimeout(() => {
        this.waiting = this.waiting.filter((other) => other !== entry);
        resolve(false);
      }, seconds * 1000);
      this.waiting.push(entry);
    });
  }
}

const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);

module.exports = { checks, Waiter, range };
