//! The figures as a table, JSON or CSV, with what they were measured on.

use std::path::Path;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::super::output::{self, Format};
use super::drive::MARK;
use super::load::{KeyOrder, Load};
use super::profile::{STAGES, Stage};
use super::{Measured, Runs, disk};

const HEADINGS: [&str; 15] = [
    "Load",
    ">Nodes",
    ">Clients",
    ">Writes/s",
    ">Aim",
    ">p50 ms",
    ">p99 ms",
    ">p99.9 ms",
    ">Reads/s",
    ">Server us/write",
    ">Client us/write",
    ">Disk bytes/write",
    ">Written/logical",
    ">Memory MiB",
    ">Runs",
];

#[derive(Debug)]
pub(super) struct Report<'a> {
    pub dir: &'a Path,
    pub syncs: &'a disk::Syncs,
    pub loads: &'a [Runs],
    pub has_profile: bool,
}

pub(super) fn print(report: &Report<'_>, format: Format) -> std::io::Result<()> {
    let rows: Vec<_> = report.loads.iter().filter_map(row).collect();
    match format {
        Format::Json => output::print_json(&document(report)),
        Format::Csv => output::print(&output::csv(&HEADINGS, &rows)),
        Format::Table => {
            output::print(&output::table(&HEADINGS, &rows))?;
            if report.has_profile {
                print_profile(report)?;
            }
            for runs in report.loads {
                print_long(runs)?;
            }
            output::print_line(&format!(
                "{}; {} processors; data on {}; median fdatasync of a block {:.2} ms ({} in the same run)",
                processor(),
                processors(),
                disk::file_system(report.dir).unwrap_or_else(|| "an unknown file system".to_owned()),
                report.syncs.median().as_secs_f64() * 1e3,
                report.syncs.count(),
            ))
        }
    }
}

/// One run, in a line.
pub(super) fn line(measured: &Measured) -> String {
    let mut line = format!(
        "{:.0} writes/s, p50 {:.2} ms, p99 {:.2} ms",
        per_second(measured),
        quantile_ms(&measured.seen.write_us, 0.5),
        quantile_ms(&measured.seen.write_us, 0.99)
    );
    if measured.seen.reads > 0 {
        line.push_str(&format!("; {:.0} reads/s", reads_per_second(measured)));
    }
    if let Some(us) = server_us(measured) {
        line.push_str(&format!("; server {us:.1} us, client {:.1} us", client_us(measured)));
    }
    if let Some(bytes) = disk_bytes(measured) {
        line.push_str(&format!(", {bytes:.0} disk bytes each"));
    }
    line
}

impl Runs {
    /// The run whose throughput is the median.
    fn median(&self) -> Option<&Measured> {
        let mut sorted: Vec<_> = self.measured.iter().collect();
        sorted.sort_by(|one, other| per_second(one).total_cmp(&per_second(other)));
        sorted.get(sorted.len().saturating_sub(1) / 2).copied()
    }
}

fn row(runs: &Runs) -> Option<Vec<String>> {
    let (load, measured) = (&runs.load, runs.median()?);
    let ms = |quantile| format!("{:.2}", quantile_ms(&measured.seen.write_us, quantile));
    let optional =
        |figure: Option<f64>, decimals: usize| figure.map_or_else(String::new, |it| format!("{it:.decimals$}"));
    let clients =
        if load.readers == 0 { load.clients.to_string() } else { format!("{} + {}", load.clients, load.readers) };
    Some(vec![
        load.name.clone(),
        load.nodes.to_string(),
        clients,
        format!("{:.0}", per_second(measured)),
        load.aim.map_or_else(String::new, |aim| aim.to_string()),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        optional((measured.seen.reads > 0).then(|| reads_per_second(measured)), 0),
        optional(server_us(measured), 2),
        format!("{:.2}", client_us(measured)),
        optional(disk_bytes(measured), 0),
        optional(amplification(measured), 2),
        optional(measured.memory_bytes.map(|bytes| number(bytes) / 1_048_576.0), 0),
        runs.measured.len().to_string(),
    ])
}

/// Time of each stage: per write, all threads and nodes together, and of one observation.
fn print_profile(report: &Report<'_>) -> std::io::Result<()> {
    let mut headings = vec!["us/write (mean ms)"];
    let names: Vec<String> = report.loads.iter().map(|runs| format!(">{}", runs.load.name)).collect();
    headings.extend(names.iter().map(String::as_str));
    let stage = |label: &str, metric: &str| {
        let mut row = vec![label.to_owned()];
        for runs in report.loads {
            let stage = runs.median().and_then(|measured| Some((measured, measured.counters.stage(metric)?)));
            row.push(stage.map_or_else(
                || "—".to_owned(),
                |(measured, stage)| format!("{:.2} ({:.2})", stage_us(measured, stage), stage.mean_ms()),
            ));
        }
        row
    };
    let rows: Vec<_> = STAGES.iter().map(|(label, metric)| stage(label, metric)).collect();
    output::print(&output::table(&headings, &rows))?;
    output::print_line("Stages overlap, and so do threads; — is not recorded by this server.")
}

fn print_long(runs: &Runs) -> std::io::Result<()> {
    for measured in &runs.measured {
        let Some(long) = &measured.long else { continue };
        let mut line = runs.load.name.clone();
        if let Some(share) = long.lowest_share() {
            line.push_str(&format!(": the slowest million at {:.0} % of the first one's throughput", share * 100.0));
        }
        if let Some(restart) = long.restart {
            line.push_str(&format!("; after SIGKILL it answered in {:.2} s", restart.as_secs_f64()));
        }
        if let Some(bytes) = long.stored_bytes {
            let each = number(bytes) / number(measured.writes_with_warm_up);
            line.push_str(&format!("; its files take {bytes} bytes, {each:.0} per write"));
        }
        output::print_line(&line)?;
    }
    Ok(())
}

pub(super) fn document(report: &Report<'_>) -> Value {
    let load = |runs: &Runs| {
        let Load { name, clients, nodes, accounts, hot_percent, rate, readers, pipeline, read_batch, aim, .. } =
            &runs.load;
        json!({
            "load": name,
            "size": runs.load.size(),
            "nodes": nodes,
            "clients": clients,
            "accounts": accounts,
            "hot_percent": hot_percent,
            "random_keys": runs.load.keys == KeyOrder::Random,
            "rate": rate,
            "readers": readers,
            "read_batch": read_batch,
            "pipeline": pipeline,
            "aim": aim,
            "median": runs.median().map(figures),
            "runs": runs.measured.iter().map(figures).collect::<Vec<_>>(),
        })
    };
    json!({
        "machine": {
            "processor": processor(),
            "processors": processors(),
            "file_system": disk::file_system(report.dir),
            "median_fdatasync_ms": report.syncs.median().as_secs_f64() * 1e3,
            "fdatasyncs": report.syncs.count(),
        },
        "loads": report.loads.iter().map(load).collect::<Vec<_>>(),
    })
}

fn figures(measured: &Measured) -> Value {
    let seen = &measured.seen;
    let stages: serde_json::Map<_, _> = STAGES
        .iter()
        .map(|(label, metric)| {
            let stage = measured.counters.stage(metric).map(|stage| {
                json!({"us_per_write": stage_us(measured, stage), "mean_ms": stage.mean_ms(), "count": stage.count})
            });
            ((*label).to_owned(), stage.unwrap_or(Value::Null))
        })
        .collect();
    let long = measured.long.as_ref().map(|long| {
        let rates: Vec<_> = long.millions.iter().map(|took| number(MARK) / took.as_secs_f64()).collect();
        json!({
            "writes_per_second_of_each_million": rates,
            "lowest_share": long.lowest_share(),
            "restart_seconds": long.restart.as_ref().map(Duration::as_secs_f64),
            "stored_bytes": long.stored_bytes,
        })
    });
    json!({
        "writes": seen.writes,
        "seconds": seen.window.as_secs_f64(),
        "writes_per_second": per_second(measured),
        "write_latency_ms": latency(&seen.write_us),
        "reads": seen.reads,
        "reads_per_second": reads_per_second(measured),
        "read_latency_ms": latency(&seen.read_us),
        "server_cpu_us_per_write": server_us(measured),
        "client_cpu_us_per_write": client_us(measured),
        "disk_bytes_per_write": disk_bytes(measured),
        "written_per_logical_byte": amplification(measured),
        "memory_bytes": measured.memory_bytes,
        "stages": stages,
        "long": long,
    })
}

fn latency(us: &Histogram<u64>) -> Value {
    if us.is_empty() {
        return Value::Null;
    }
    let max_ms = number(us.max()) / 1e3;
    let at = |quantile| quantile_ms(us, quantile);
    json!({"count": us.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999), "max": max_ms})
}

fn per_second(measured: &Measured) -> f64 {
    number(measured.seen.writes) / measured.seen.window.as_secs_f64().max(1e-9)
}

fn reads_per_second(measured: &Measured) -> f64 {
    number(measured.seen.reads) / measured.seen.window.as_secs_f64().max(1e-9)
}

fn quantile_ms(us: &Histogram<u64>, quantile: f64) -> f64 {
    number(us.value_at_quantile(quantile)) / 1e3
}

fn us_per_write(measured: &Measured, time: Duration) -> f64 {
    time.as_secs_f64() * 1e6 / number(measured.writes_with_warm_up)
}

fn server_us(measured: &Measured) -> Option<f64> {
    measured.cost.map(|cost| us_per_write(measured, cost.cpu))
}

fn client_us(measured: &Measured) -> f64 {
    us_per_write(measured, measured.client_cpu)
}

fn stage_us(measured: &Measured, stage: Stage) -> f64 {
    stage.seconds * 1e6 / number(measured.writes_with_warm_up)
}

impl Stage {
    fn mean_ms(self) -> f64 {
        self.seconds * 1e3 / self.count.max(1.0)
    }
}

fn disk_bytes(measured: &Measured) -> Option<f64> {
    let bytes = measured.cost.and_then(|cost| cost.disk_bytes)?;
    Some(number(bytes) / number(measured.writes_with_warm_up))
}

/// Bytes that went to the device for each byte of log and journal.
fn amplification(measured: &Measured) -> Option<f64> {
    let bytes = measured.cost.and_then(|cost| cost.disk_bytes)?;
    Some(number(bytes) / measured.counters.logical_bytes().filter(|&logical| logical > 0.0)?)
}

/// Counts here stay far below 2^53, where an f64 is still exact.
fn number(count: u64) -> f64 {
    #[expect(clippy::as_conversions, clippy::cast_precision_loss, reason = "there is no From; exact below 2^53")]
    {
        count as f64
    }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(0, std::num::NonZero::get)
}

fn processor() -> String {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    model.map_or_else(|| "an unknown processor".to_owned(), |(_, name)| name.trim().to_owned())
}
