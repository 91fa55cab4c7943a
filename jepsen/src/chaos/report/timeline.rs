//! A run's time from left to right: what faults there were, how much was answered each second, and how long each answer
//! took.

use std::fmt::Write as _;

use super::html::seconds;
use crate::chaos::faults::{Class, FaultRecord};
use crate::chaos::history::{Phase, Record, Status};
use crate::chaos::run::Run;

const WIDTH: f64 = 1_200.0;
/// Room for labels.
const LEFT: f64 = 150.0;
const LANE: f64 = 16.0;
const RATES: f64 = 110.0;
const LATENCIES: f64 = 300.0;
const GAP: f64 = 26.0;
/// A page with more dots than this opens slowly; every n-th is drawn, those without an answer always.
const DOTS: usize = 9_000;

/// From which to which moment of the run's clock.
#[derive(Clone, Copy)]
struct Axis {
    begin: u64,
    end: u64,
}

impl Axis {
    fn at(self, moment: u64) -> f64 {
        let part = seconds(moment.clamp(self.begin, self.end) - self.begin) / seconds(self.end - self.begin);
        LEFT + part * (WIDTH - LEFT)
    }
}

pub(super) fn timeline(run: &Run) -> String {
    let main: Vec<&Record> = run.records.iter().filter(|record| record.phase == Phase::Main).collect();
    let begin = main.iter().map(|record| record.start).min().unwrap_or(0);
    let end = main.iter().map(|record| record.end).max().unwrap_or(1).max(begin + 1);
    let axis = Axis { begin, end };
    let faults: Vec<&FaultRecord> = run.faults.iter().filter(|fault| fault.installed()).collect();
    let mut classes: Vec<Class> = faults.iter().map(|fault| fault.kind.class()).collect();
    classes.sort_unstable();
    classes.dedup();
    let lanes = f64::from(u32::try_from(classes.len()).unwrap_or(0)) * LANE;
    let (rates_top, dots_top) = (lanes + GAP, lanes + RATES + 2.0 * GAP);
    let height = dots_top + LATENCIES + GAP;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"faults, answers each second and latencies, \
         over time\">"
    );
    for fault in &faults {
        let (left, right) = (axis.at(fault.start), axis.at(fault.end));
        let width = (right - left).max(1.5);
        let row = classes.iter().position(|class| *class == fault.kind.class()).unwrap_or(0);
        let y = f64::from(u32::try_from(row).unwrap_or(0)) * LANE;
        let nodes: Vec<String> = fault.nodes.iter().map(|node| (node + 1).to_string()).collect();
        add(
            &mut svg,
            format_args!(
                "<rect class=\"band\" x=\"{left:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{:.0}\"/><rect \
                 class=\"bar\" x=\"{left:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" rx=\"2\"><title>{} on \
                 {}, {:.1} s</title></rect>",
                height - GAP,
                y + 2.0,
                LANE - 4.0,
                fault.kind.name(),
                nodes.join(", "),
                seconds(fault.end - fault.start)
            ),
        );
    }
    for (row, class) in (0_u32..).zip(&classes) {
        let y = f64::from(row) * LANE + LANE - 4.0;
        add(&mut svg, format_args!("<text x=\"0\" y=\"{y:.1}\">{}</text>", class.name()));
    }
    rates(&mut svg, &main, axis, rates_top);
    dots(&mut svg, &main, axis, dots_top);
    let whole = seconds(end - begin);
    for tick in 0..=10_u32 {
        let x = LEFT + f64::from(tick) / 10.0 * (WIDTH - LEFT);
        let anchor = if tick == 10 { "end" } else { "middle" };
        let at = whole * f64::from(tick) / 10.0;
        add(
            &mut svg,
            format_args!("<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{at:.0} s</text>", height - 8.0),
        );
    }
    svg.push_str("</svg>");
    svg + "<p class=\"key\"><span style=\"--c:var(--write)\">writes</span><span style=\"--c:var(--read)\">reads</span>\
           <span style=\"--c:var(--lost)\">no definite answer</span><span style=\"--c:var(--not)\">refused before the \
           proposal</span>. Bands are faults; latencies are on a logarithmic scale.</p>"
}

fn add(svg: &mut String, text: std::fmt::Arguments<'_>) {
    svg.write_fmt(text).expect("a string takes everything");
}

fn class_of(record: &Record) -> &'static str {
    match (record.status, record.operation.is_write()) {
        (Status::Info, _) => "i",
        (Status::Fail, _) => "x",
        (Status::Ok, true) => "t",
        (Status::Ok, false) => "r",
    }
}

/// Answers each second, writes below reads, and what had no answer above them.
fn rates(svg: &mut String, main: &[&Record], axis: Axis, top: f64) {
    const SECOND: u64 = 1_000_000_000;
    const STACK: [&str; 4] = ["t", "r", "x", "i"];
    let slots = usize::try_from((axis.end - axis.begin) / SECOND).unwrap_or(0) + 1;
    let mut counted = vec![[0_u32; 4]; slots];
    for record in main {
        let slot = usize::try_from((record.end - axis.begin) / SECOND).unwrap_or(0);
        let place = STACK.iter().position(|class| *class == class_of(record)).unwrap_or(0);
        counted[slot][place] += 1;
    }
    let most = counted.iter().map(|slot| slot.iter().sum::<u32>()).max().unwrap_or(1).max(1);
    for (number, slot) in (0_u64..).zip(&counted) {
        let x = axis.at(axis.begin + number * SECOND);
        let width = (axis.at(axis.begin + (number + 1) * SECOND) - x - 0.5).max(0.5);
        let mut y = top + RATES;
        for (class, count) in STACK.iter().zip(slot) {
            let height = f64::from(*count) / f64::from(most) * RATES;
            if *count > 0 {
                y -= height;
                add(
                    svg,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
                    ),
                );
            }
        }
    }
    add(svg, format_args!("<text x=\"0\" y=\"{:.1}\">answers each second</text>", top + 10.0));
    add(svg, format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{most}</text>", LEFT - 6.0, top + 26.0));
    rule(svg, top + RATES);
}

/// Each answer a dot: when it came, and how long it took.
fn dots(svg: &mut String, main: &[&Record], axis: Axis, top: f64) {
    for (label, took) in
        [("0.1 ms", 0.000_1), ("1 ms", 0.001), ("10 ms", 0.01), ("100 ms", 0.1), ("1 s", 1.0), ("10 s", 10.0)]
    {
        let y = top + depth(took);
        rule(svg, y);
        add(svg, format_args!("<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0));
    }
    add(svg, format_args!("<text x=\"0\" y=\"{:.1}\">latency</text>", top + 10.0));
    let step = (main.len() / DOTS).max(1);
    let mut lost = 0;
    for (number, record) in main.iter().enumerate() {
        let class = class_of(record);
        lost += usize::from(class == "i");
        if number % step == 0 || (class == "i" && lost <= DOTS) {
            let (x, y) = (axis.at(record.end), top + depth(seconds(record.end - record.start)));
            add(svg, format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.2\"/>"));
        }
    }
}

/// How far below the top: 10 s at the top, 0.1 ms at the bottom.
fn depth(latency: f64) -> f64 {
    let scale = (latency.clamp(0.000_1, 10.0) / 0.000_1).log10() / 5.0;
    (1.0 - scale) * LATENCIES
}

fn rule(svg: &mut String, y: f64) {
    add(svg, format_args!("<line class=\"rule\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>"));
}
