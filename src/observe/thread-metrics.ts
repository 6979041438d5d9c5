// What threads and the process cost: CPU time, memory, and how late the event loop runs.
import { monotonic, wallClock } from "../core/clock.ts";
import type { Metrics } from "./metrics.ts";
import type { MetricsPage } from "./metrics-page.ts";

const TICK_MS = 1000;
const LAG_WINDOW = 10;
const MICROS = 1e6;

/** Measures this worker thread once a second until `stop()`; never keeps the process alive. */
export function startThreadMetrics(metrics: Metrics, worker: string): { stop(): void } {
  const cpu = metrics.page.cell("sluice_worker_cpu_seconds_total", [worker]);
  const memory = metrics.page.cell("sluice_worker_memory_bytes", [worker]);
  const lag = metrics.page.cell("sluice_worker_event_loop_lag_seconds", [worker]);
  const lags = new Float64Array(LAG_WINDOW);
  let ticks = 0;
  let expected = monotonic() + TICK_MS;
  const measure = () => {
    const used = process.threadCpuUsage();
    cpu.set((used.user + used.system) / MICROS);
    memory.set(process.memoryUsage().heapUsed);
  };
  const timer = setInterval(() => {
    const now = monotonic();
    lags[ticks % LAG_WINDOW] = Math.max(0, now - expected) / 1000;
    ticks += 1;
    expected = now + TICK_MS;
    lag.set(Math.max(...lags));
    measure();
  }, TICK_MS);
  timer.unref();
  measure();
  return { stop: () => clearInterval(timer) };
}

/** Numbers of the whole process; the supervisor calls what this returns before each rendering. */
export function processMetrics(page: MetricsPage): () => void {
  const cpu = page.cell("process_cpu_seconds_total", []);
  const memory = page.cell("process_resident_memory_bytes", []);
  page.cell("process_start_time_seconds", []).set(Math.round(wallClock() / 1000 - process.uptime()));
  return () => {
    const used = process.cpuUsage();
    cpu.set((used.user + used.system) / MICROS);
    memory.set(process.memoryUsage.rss());
  };
}
