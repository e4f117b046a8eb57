// Loaded before a program (`node --import`): its time of day is off by what stands in a file, in milliseconds.
import { readFileSync } from 'node:fs';

const RealDate = Date;
let offset = 0;
const look = () => {
  offset = Number(readFileSync(process.env.TOOLWEAVER_TEST_CLOCK, 'utf8'));
};
look();
setInterval(look, 20).unref();
const now = () => RealDate.now() + offset;
globalThis.Date = class extends RealDate {
  constructor(...given) {
    if (given.length === 0) super(now());
    else super(...given);
  }
  static now = now;
};
