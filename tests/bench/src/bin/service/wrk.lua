-- A run of wrk in one line, for load.rs: requests, seconds, errors, p50 and p99 in microseconds.
done = function(summary, latency)
  local e = summary.errors
  local errors = e.connect + e.read + e.write + e.status + e.timeout
  io.stderr:write(string.format("%d %.6f %d %d %d\n",
    summary.requests, summary.duration / 1e6, errors, latency:percentile(50), latency:percentile(99)))
end
