//! Tasks, metrics, statistics, baselines and the report.
