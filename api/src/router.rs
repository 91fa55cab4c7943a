//! The router: every route, the OpenAPI document made of them, and what wraps them all.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use utoipa_swagger_ui::SwaggerUi;

use crate::app::{App, with_position};
use crate::metrics::Requests;
use crate::problem::{Code, POSITION, Problem};
use crate::routes::{
    accounts, backup, balances, balances_query, books, charges, cluster, currencies, entries, explain, export, fx,
    health, holds, journal, keys, parties, payments, periods, postings, recognitions, refunds, reports, transfers,
    years,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Partita",
        description = "A replicated double-entry ledger. Amounts are decimal strings; every decision takes the next \
            position; writes are idempotent under their key, for ever. Problems are RFC 9457's.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "books"), (name = "currencies"), (name = "accounts"), (name = "entries"), (name = "transfers"),
        (name = "holds"), (name = "charges"), (name = "payments"), (name = "refunds"), (name = "parties"), (name = "periods"),
        (name = "recognition"), (name = "foreign currency"), (name = "reports"), (name = "keys"), (name = "journal"),
        (name = "cluster"), (name = "operations")
    )
)]
struct Document;

fn documented() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(books::open, books::list))
        .routes(routes!(books::get))
        .routes(routes!(currencies::register, currencies::list))
        .routes(routes!(accounts::open, accounts::list))
        .routes(routes!(accounts::get))
        .routes(routes!(accounts::close))
        .routes(routes!(balances::get))
        .routes(routes!(balances_query::query))
        .routes(routes!(postings::list))
        .routes(routes!(explain::get))
        .routes(routes!(entries::post, entries::list))
        .routes(routes!(entries::post_batch))
        .routes(routes!(entries::get))
        .routes(routes!(entries::reverse))
        .routes(routes!(transfers::post))
        .routes(routes!(transfers::post_batch))
        .routes(routes!(holds::place, holds::list))
        .routes(routes!(holds::get))
        .routes(routes!(holds::capture))
        .routes(routes!(holds::void))
        .routes(routes!(charges::create, charges::list))
        .routes(routes!(charges::get))
        .routes(routes!(charges::void))
        .routes(routes!(payments::create, payments::list))
        .routes(routes!(payments::get))
        .routes(routes!(payments::capture))
        .routes(routes!(payments::void))
        .routes(routes!(payments::apply))
        .routes(routes!(payments::unapply))
        .routes(routes!(payments::fees))
        .routes(routes!(refunds::create, refunds::list))
        .routes(routes!(refunds::get))
        .routes(routes!(refunds::settle))
        .routes(routes!(refunds::fail))
        .routes(routes!(parties::get))
        .routes(routes!(export::get))
        .routes(routes!(periods::list))
        .routes(routes!(periods::get))
        .routes(routes!(periods::soft_close))
        .routes(routes!(periods::close))
        .routes(routes!(periods::reopen))
        .routes(routes!(years::close))
        .routes(routes!(recognitions::post))
        .routes(routes!(recognitions::get))
        .routes(routes!(fx::record, fx::rates))
        .routes(routes!(fx::convert))
        .routes(routes!(fx::position))
        .routes(routes!(fx::revalue))
        .routes(routes!(reports::customer_statement::get))
        .routes(routes!(reports::deferred_revenue::get))
        .routes(routes!(reports::financial_statements::balance_sheet))
        .routes(routes!(reports::financial_statements::income_statement))
        .routes(routes!(reports::general_ledger::get))
        .routes(routes!(reports::journal_listing::get))
        .routes(routes!(reports::must_zero_ageing::get))
        .routes(routes!(reports::receivables_ageing::get))
        .routes(routes!(reports::recognition_schedule::get))
        .routes(routes!(reports::trial_balance::get))
        .routes(routes!(keys::get))
        .routes(routes!(keys::get_cluster))
        .routes(routes!(journal::feed))
        .routes(routes!(cluster::get))
        .routes(routes!(cluster::add))
        .routes(routes!(cluster::remove))
        .routes(routes!(cluster::promote))
        .routes(routes!(cluster::transfer_leader))
        .routes(routes!(backup::get))
        .routes(routes!(health::live))
        .routes(routes!(health::ready))
        .routes(routes!(health::prometheus))
}

/// The OpenAPI 3.1 document, made from the routes' own code.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = documented().into_openapi();
    document.info.version = env!("CARGO_PKG_VERSION").to_owned();
    document
}

/// Every route over one node.
pub fn router(app: App) -> Router {
    let (routes, _document) = documented().split_for_parts();
    let document = serde_json::to_string(&openapi()).expect("an OpenAPI document is JSON");
    let served =
        get(move || async move { ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document) });
    routes
        .with_state(app.clone())
        .route("/openapi.json", served)
        .merge(SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state((app, Requests::default()), observe))
}

/// Counts the request under its route. Every answer says which position it reflects: where the route did not say it, the
/// last one decided here before.
async fn observe(State((app, requests)): State<(App, Requests)>, request: Request, next: Next) -> Response {
    let counted = requests.begin(&request);
    let before = app.node().position();
    let response = next.run(request).await;
    counted.end(response.status());
    if response.headers().contains_key(POSITION) { response } else { with_position(response, before) }
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!("there is no route {}", uri.path().chars().take(200).collect::<String>()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(Code::MethodNotAllowed, format!("{method} is not allowed at {path}"))
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let what = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = what, "a request failed");
    let mut response = Problem::new(Code::Internal, "the server failed; its log says why").into_response();
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
