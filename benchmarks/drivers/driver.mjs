// The same commands, marks and answers as driver.py and run.py, for systems on Node.
// BENCH_NODE is the folder that holds node_modules.
import fs from 'node:fs';
import path from 'node:path';
import { createRequire } from 'node:module';

export const require = createRequire(path.join(process.env.BENCH_NODE, 'index.js'));
export const URL_OF_STORE = process.env.BENCH_URL;
const MARKS = process.env.BENCH_MARKS;
const CALLERS = 100;
const files = {};

const now = () => (performance.timeOrigin + performance.now()) / 1000;
const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

function mark(name, number, instant) {
  files[name] ??= fs.openSync(path.join(MARKS, name), 'a');
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeDoubleLE(number, 0);
  bytes.writeDoubleLE(instant, 8);
  fs.writeSync(files[name], bytes);
}

export const handled = (number) => mark('runs', number, now());

function anythingRan() {
  return (fs.statSync(path.join(MARKS, 'runs'), { throwIfNoEntry: false })?.size ?? 0) > 0;
}

export async function inChunks(count, add) {
  for (let start = 0; start < count; start += 1000) {
    await add(Array.from({ length: Math.min(1000, count - start) }, (_, index) => start + index));
  }
}

async function caller(driver, count) {
  for (let number = 0; number < count; number++) await driver.add(number);
}

async function pickups(driver, count) {
  await driver.add(-1);
  while (!anythingRan()) await sleep(10);
  await sleep(500);
  for (let number = 0; number < count; number++) {
    const start = now();
    await driver.add(number);
    mark('sent', number, start);
    await sleep(10 + 20 * Math.random());
  }
}

async function add(driver, command, count) {
  switch (command) {
    case 'add': return caller(driver, count);
    case 'callers':
      return Promise.all(Array.from({ length: CALLERS }, () => caller(driver, Math.floor(count / CALLERS))));
    case 'bulk': return driver.addAll(count);
    case 'pickups': return pickups(driver, count);
    default: throw new Error(`no such command: ${command}`);
  }
}

export async function run(driver) {
  const [command, given] = process.argv.slice(2);
  const count = Number(given ?? 0);
  if (command === 'setup') {
    await driver.setup?.();
  } else if (command === 'work') {
    process.stdout.write('ready\n');
    await new Promise((start) => process.stdin.once('data', start));
    await driver.work(count);
    return;
  } else {
    await driver.open();
    const start = performance.now();
    await add(driver, command, count);
    const seconds = (performance.now() - start) / 1000;
    await driver.close();
    process.stdout.write(`\nseconds ${seconds}\n`);
  }
  process.exit(0);
}
