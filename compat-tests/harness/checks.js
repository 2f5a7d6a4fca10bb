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

// Resolves when a condition holds: asked at every poke(), and a few times a second for what tells nobody.
class Waiter {
  constructor() { this.waiting = new Set(); }

  poke() { this.waiting.forEach((look) => look()); }

  until(condition, seconds = 120) {
    if (condition()) return Promise.resolve(true);
    return new Promise((resolve) => {
      const over = Date.now() + seconds * 1000;
      const look = () => {
        const holds = condition();
        if (!holds && Date.now() < over) return;
        clearInterval(ticks);
        this.waiting.delete(look);
        resolve(holds);
      };
      const ticks = setInterval(look, 50);
      this.waiting.add(look);
    });
  }
}

const range = (from, to) => Array.from({ length: to - from }, (_, n) => from + n);

module.exports = { checks, Waiter, range };
