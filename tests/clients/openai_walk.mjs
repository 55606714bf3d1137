// A file and a job, through OpenAI's own client for Node: openai_walk.mjs ADDRESS, with the key in OPENAI_API_KEY.
// It sends a file as a stream in chunks, before its purpose.
import { createReadStream } from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.argv[2] });
const file = await client.files.create({ file: createReadStream(process.argv[3]), purpose: "fine-tune" });
const job = await client.fineTuning.jobs.create({ model: "smollm2-135m-instruct", training_file: file.id });
const jobs = [];
for await (const each of client.fineTuning.jobs.list({ limit: 1 })) jobs.push(each.id);
let cancelled = await client.fineTuning.jobs.cancel(job.id);
while (!["succeeded", "failed", "cancelled"].includes(cancelled.status)) {
  await new Promise((resolve) => setTimeout(resolve, 200));
  cancelled = await client.fineTuning.jobs.retrieve(job.id);
}
const fault = await client.fineTuning.jobs.retrieve("job_nope").catch((error) => error);
console.log(JSON.stringify({ file, job, jobs, cancelled: cancelled.status, fault: [fault.constructor.name, fault.code] }));
