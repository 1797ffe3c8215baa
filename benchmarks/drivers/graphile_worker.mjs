// graphile-worker with its batching: a local queue of 500, completions written at the next tick.
import { handled, inChunks, require, run, URL_OF_STORE } from './driver.mjs';

const graphile = require('graphile-worker');
const logger = new graphile.Logger(() => (level, message) => {
  if (level === 'error') console.error(message);
});
const connection = { connectionString: URL_OF_STORE, logger };
let utils;

await run({
  setup: () => graphile.runMigrations(connection),
  open: async () => { utils = await graphile.makeWorkerUtils(connection); },
  close: () => utils.release(),
  add: (number) => utils.addJob('noop', { n: number }),
  addAll: (count) => inChunks(count, (numbers) => utils.addJobs(
    numbers.map((number) => ({ identifier: 'noop', payload: { n: number } })),
  )),
  work: (concurrency) => graphile.run({
    logger,
    preset: {
      worker: {
        connectionString: URL_OF_STORE,
        concurrentJobs: concurrency,
        maxPoolSize: concurrency + 2,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
    taskList: { noop: async (payload) => handled(payload.n) },
  }),
});
