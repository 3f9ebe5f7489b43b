-- One signed GitHub webhook, over and over, each under a delivery id of its own.
local run = os.getenv("BENCH_RUN")
local body = os.getenv("BENCH_BODY")
local signature = os.getenv("BENCH_SIGNATURE")
local threads = 0
local thread_number = 0
local sent = 0

function setup(thread)
  threads = threads + 1
  thread:set("thread_number", threads)
end

local head, tail
function init(args)
  local text = wrk.format("POST", nil, {
    ["Content-Type"] = "application/json",
    ["X-GitHub-Event"] = "push",
    ["X-Hub-Signature-256"] = signature,
    ["X-GitHub-Delivery"] = "@@ID@@",
  }, body)
  local from, to = string.find(text, "@@ID@@", 1, true)
  head, tail = string.sub(text, 1, from - 1), string.sub(text, to + 1)
end

function request()
  sent = sent + 1
  return head .. run .. "-" .. thread_number .. "-" .. sent .. tail
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"durationUs":%d,"p50Us":%d,"p90Us":%d,"p99Us":%d,"p999Us":%d,"maxUs":%d,"non2xx":%d,"socketErrors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(90), latency:percentile(99),
    latency:percentile(99.9), latency.max, errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
