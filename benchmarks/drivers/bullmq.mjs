// BullMQ on Redis.
import { handled, inChunks, require, run, URL_OF_STORE } from './driver.mjs';

const { Queue, Worker } = require('bullmq');
const url = new URL(URL_OF_STORE);
const connection = {
  host: url.hostname,
  port: Number(url.port),
  db: Number(url.pathname.slice(1)),
  maxRetriesPerRequest: null,
};
let queue;

await run({
  open: async () => {
    queue = new Queue('noop', { connection });
    await queue.waitUntilReady();
  },
  close: () => queue.close(),
  add: (number) => queue.add('noop', { n: number }),
  addAll: (count) => inChunks(count, (numbers) => queue.addBulk(
    numbers.map((number) => ({ name: 'noop', data: { n: number } })),
  )),
  work: async (concurrency) => {
    const handle = async (job) => handled(job.data.n);
    new Worker('noop', handle, { connection, concurrency }).on('error', console.error);
  },
});
