//! A report on its way to the caller: as a whole, or piece by piece while it is read from the journal.

use std::collections::VecDeque;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;

use super::{FormatForm, Frame, Rendering, Report, Row, Section};
use crate::app::{App, blocking, with_position};
use crate::problem::Problem;

/// What a report is made of, in the order of the document.
#[derive(Clone, Debug)]
pub enum Piece {
    Section(Section),
    Rows(Vec<Row>),
    /// Ends the section.
    Totals(Vec<Row>),
    /// Ends the report.
    End(Vec<Row>),
}

/// Why a report that has begun is broken off: its reader sees a body that does not end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    #[error("the report does not add up: {}", .0.body().get("detail").and_then(|detail| detail.as_str()).unwrap_or(""))]
    Problem(Problem),
    #[error("the server is shutting down")]
    ShuttingDown,
}

struct Printer {
    frame: Frame,
    rendering: Box<dyn Rendering>,
    out: Vec<u8>,
}

impl Printer {
    fn new(frame: Frame, format: FormatForm) -> Self {
        Self { frame, rendering: format.rendering(), out: vec![] }
    }

    fn open(&mut self) {
        self.rendering.open(&self.frame, &mut self.out);
    }

    fn print(&mut self, piece: &Piece) {
        let Self { frame, rendering, out } = self;
        match piece {
            Piece::Section(section) => rendering.open_section(frame, section, out),
            Piece::Rows(rows) => rendering.rows(frame, rows, out),
            Piece::Totals(totals) => rendering.close_section(frame, totals, out),
            Piece::End(totals) => rendering.close(frame, totals, out),
        }
    }
}

/// The whole report as bytes.
pub(super) fn render(report: &Report, format: FormatForm) -> Vec<u8> {
    let mut printer = Printer::new(report.frame.clone(), format);
    for piece in &report.pieces {
        if let Piece::Rows(rows) | Piece::Totals(rows) | Piece::End(rows) = piece {
            printer.rendering.measure(&printer.frame, rows);
        }
    }
    printer.open();
    for piece in &report.pieces {
        printer.print(piece);
    }
    printer.out
}

pub(crate) fn respond(report: &Report, format: Option<FormatForm>) -> Response {
    let format = format.unwrap_or(FormatForm::Json);
    typed(format, Body::from(render(report, format)))
}

fn typed(format: FormatForm, body: Body) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()))], body).into_response()
}

/// A report whose length grows with the journal: `next` gives some pieces at a time, the last of them
/// [`Piece::End`]. It runs on a thread for blocking work, and only as fast as the caller reads.
pub(crate) fn stream(
    app: &App,
    frame: Frame,
    format: Option<FormatForm>,
    next: impl FnMut(&App) -> Result<Vec<Piece>, Problem> + Send + 'static,
) -> Response {
    let format = format.unwrap_or(FormatForm::Json);
    let position = frame.header.head_position;
    let mut printer = Printer::new(frame, format);
    printer.open();
    let state = Some(Streaming { app: app.clone(), printer, next, pieces: VecDeque::new() });
    let chunks = stream::unfold(state, |state| async move {
        let (chunk, rest) = match state?.advance().await {
            Ok((chunk, rest)) => (Ok(chunk), rest),
            Err(broken) => {
                tracing::error!(error = %broken, "a report was broken off");
                (Err(broken), None)
            }
        };
        Some((chunk, rest))
    });
    with_position(typed(format, Body::from_stream(chunks)), position)
}

struct Streaming<N> {
    app: App,
    printer: Printer,
    next: N,
    pieces: VecDeque<Piece>,
}

impl<N: FnMut(&App) -> Result<Vec<Piece>, Problem> + Send + 'static> Streaming<N> {
    /// The next bytes; without a rest the report is at its end.
    async fn advance(mut self) -> Result<(Bytes, Option<Self>), BrokenOff> {
        if *self.app.stopping().borrow() {
            return Err(BrokenOff::ShuttingDown);
        }
        blocking(move || {
            self.pieces.extend((self.next)(&self.app).map_err(BrokenOff::Problem)?);
            let mut is_end = false;
            while let Some(piece) = self.pieces.pop_front() {
                self.printer.print(&piece);
                is_end |= matches!(piece, Piece::End(_));
            }
            let chunk = Bytes::from(std::mem::take(&mut self.printer.out));
            Ok((chunk, (!is_end).then_some(self)))
        })
        .await
    }
}
