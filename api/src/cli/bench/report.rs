//! The figures as a table, JSON or CSV, with what they were measured on.

use std::path::Path;

use serde_json::{Value, json};

use super::super::output::{self, Format};
use super::{Measured, disk};

const HEADINGS: [&str; 11] = [
    "Load",
    ">Nodes",
    ">Clients",
    ">Transfers",
    ">Transfers/s",
    ">Request p50 ms",
    ">p99 ms",
    ">p99.9 ms",
    ">CPU us/transfer",
    ">Disk bytes/transfer",
    ">Seconds",
];

#[derive(Debug)]
pub(super) struct Report<'a> {
    pub dir: &'a Path,
    pub syncs: &'a disk::Syncs,
    pub measured: &'a [Measured],
}

pub(super) fn print(report: &Report<'_>, format: Format) -> std::io::Result<()> {
    let rows: Vec<_> = report.measured.iter().map(row).collect();
    match format {
        Format::Json => output::print_json(&document(report)),
        Format::Csv => output::print(&output::csv(&HEADINGS, &rows)),
        Format::Table => {
            output::print(&output::table(&HEADINGS, &rows))?;
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

fn row(measured: &Measured) -> Vec<String> {
    let ms = |quantile| format!("{:.2}", quantile_ms(measured, quantile));
    vec![
        measured.load.name(),
        measured.load.nodes.to_string(),
        measured.load.clients.to_string(),
        measured.transfers.to_string(),
        format!("{:.0}", per_second(measured)),
        ms(0.5),
        ms(0.99),
        ms(0.999),
        cpu_us(measured).map_or_else(String::new, |us| format!("{us:.1}")),
        disk_bytes(measured).map_or_else(String::new, |bytes| format!("{bytes:.0}")),
        format!("{:.2}", measured.window.as_secs_f64()),
    ]
}

fn document(report: &Report<'_>) -> Value {
    let loads: Vec<_> = report
        .measured
        .iter()
        .map(|measured| {
            json!({
                "load": measured.load.name(),
                "nodes": measured.load.nodes,
                "clients": measured.load.clients,
                "transfers": measured.transfers,
                "seconds": measured.window.as_secs_f64(),
                "transfers_per_second": per_second(measured),
                "requests": measured.latency_us.len(),
                "request_p50_ms": quantile_ms(measured, 0.5),
                "request_p99_ms": quantile_ms(measured, 0.99),
                "request_p999_ms": quantile_ms(measured, 0.999),
                "cpu_us_per_transfer": cpu_us(measured),
                "disk_bytes_per_transfer": disk_bytes(measured),
            })
        })
        .collect();
    json!({
        "machine": {
            "processor": processor(),
            "processors": processors(),
            "file_system": disk::file_system(report.dir),
            "median_fdatasync_ms": report.syncs.median().as_secs_f64() * 1e3,
            "fdatasyncs": report.syncs.count(),
        },
        "loads": loads,
    })
}

fn per_second(measured: &Measured) -> f64 {
    number(measured.transfers) / measured.window.as_secs_f64().max(1e-9)
}

fn quantile_ms(measured: &Measured, quantile: f64) -> f64 {
    number(measured.latency_us.value_at_quantile(quantile)) / 1e3
}

fn cpu_us(measured: &Measured) -> Option<f64> {
    measured.cost.map(|cost| cost.cpu.as_secs_f64() * 1e6 / number(measured.transfers_with_warm_up))
}

fn disk_bytes(measured: &Measured) -> Option<f64> {
    let bytes = measured.cost.and_then(|cost| cost.disk_bytes)?;
    Some(number(bytes) / number(measured.transfers_with_warm_up))
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
