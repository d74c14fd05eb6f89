//! The desk's one door: pages for staff, `/v1/entries` and `/v1/touched` for nodes, `/healthz`.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use contracts::encoding::Bytes32;
use contracts::units::Day;
use rand_core::{OsRng, RngCore as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::config::{DeskConfig, FormConfig};
use super::form::{Checked, Filled, check};
use super::page;
use super::store::Store;
use super::{MAX_QUESTION_BODY, Question, TouchedQuestion};
use crate::clock::Clock;
use crate::db::DbError;
use crate::http;
use crate::pages::{self, Fault, fault};
use crate::problem::Problem;

/// Largest form, in bytes.
const MAX_FORM_BODY: usize = 8 << 10;

struct Desk {
    config: DeskConfig,
    store: Store,
    clock: Clock,
}

/// A desk that answers.
pub struct RunningDesk {
    address: SocketAddr,
    handle: ServerHandle,
    store: Store,
}

impl RunningDesk {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets requests in flight finish, then stops.
    pub async fn drain(self) {
        self.handle.stop(true).await;
        self.store.close().await;
    }
}

/// Starts a desk.
///
/// # Errors
/// One line that names what to mend: the database or the address.
pub async fn start(config: DeskConfig) -> Result<RunningDesk, String> {
    config.check().map_err(|error| error.to_string())?;
    if config.database_url.is_none() {
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| format!("data_dir {}: {error}", config.data_dir.display()))?;
    }
    let store = Store::open(&config.database_url(), config.keep_days)
        .await
        .map_err(|error| error.to_string())?;
    let failed = |error: std::io::Error| format!("listen {}: {error}", config.listen);
    let listener = TcpListener::bind(config.listen).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let desk = web::Data::from(Arc::new(Desk {
        clock: Clock::with_offset(config.clock_offset_seconds),
        store: store.clone(),
        config: config.clone(),
    }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(desk.clone())
            .app_data(
                web::FormConfig::default()
                    .limit(MAX_FORM_BODY)
                    .error_handler(|_, _| {
                        Problem::bad_request("body: a field is missing, unknown or too long").into()
                    }),
            )
            .app_data(http::json_config(MAX_QUESTION_BODY))
            .wrap(from_fn(http::bounded_body))
            .wrap(pages::headers())
            .route("/", web::get().to(index))
            .route("/style.css", web::get().to(style))
            .route("/healthz", web::get().to(health))
            .route("/form/{attribute}", web::get().to(empty))
            .route("/form/{attribute}", web::post().to(checked))
            .route("/form/{attribute}/sign", web::post().to(signed))
            .route("/v1/entries", web::post().to(entries))
            .route("/v1/touched", web::post().to(touched))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .map_err(failed)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    tracing::info!(desk = %config.name, %address, "desk started");
    Ok(RunningDesk {
        address,
        handle,
        store,
    })
}

fn html(status: StatusCode, page: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(page)
}

async fn index(desk: web::Data<Desk>) -> HttpResponse {
    html(StatusCode::OK, page::index(&desk.config))
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .body(pages::STYLE)
}

async fn health(desk: web::Data<Desk>) -> Result<HttpResponse, Problem> {
    desk.store.alive().await.map_err(internal)?;
    Ok(HttpResponse::Ok().json(serde_json::json!({ "ok": true })))
}

fn internal(error: DbError) -> Problem {
    tracing::error!(%error, "the desk's database");
    Problem::internal()
}

impl Desk {
    fn today(&self) -> Option<Day> {
        self.clock.now().day().ok()
    }

    fn not_found(&self) -> HttpResponse {
        html(StatusCode::NOT_FOUND, page::not_found(&self.config))
    }

    fn failed(&self) -> HttpResponse {
        html(
            StatusCode::INTERNAL_SERVER_ERROR,
            page::failed(&self.config),
        )
    }

    /// Lets nodes in that show a key of theirs.
    fn admit(&self, request: &HttpRequest) -> Result<(), Problem> {
        let shown = request.headers().get(header::AUTHORIZATION);
        let shown = shown.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let digest: [u8; 32] = Sha256::digest(shown.unwrap_or_default()).into();
        let keys = self.config.reader_key_sha256.iter();
        let known = keys.fold(subtle::Choice::from(0), |known, key| {
            known | key.0.ct_eq(&digest)
        });
        if shown.is_none() || !bool::from(known) {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Not authorised",
                "send Authorization: Bearer with a key whose SHA-256 is in the desk's reader_key_sha256",
            ));
        }
        Ok(())
    }
}

async fn empty(desk: web::Data<Desk>, attribute: web::Path<String>) -> HttpResponse {
    let Some(form) = desk.config.form(&attribute) else {
        return desk.not_found();
    };
    let mut once = [0; 32];
    OsRng.fill_bytes(&mut once);
    let filled = Filled {
        once: Bytes32::from(once).to_string(),
        kind: if form.roles.is_empty() {
            "review"
        } else {
            "observation"
        }
        .to_owned(),
        observed: desk.today().map(|day| day.to_string()).unwrap_or_default(),
        ..Filled::default()
    };
    html(StatusCode::OK, page::form(&desk.config, form, &filled, &[]))
}

/// The form that was sent and what it says, or the status and page that name its faults.
fn read<'a>(
    desk: &'a Desk,
    attribute: &str,
    filled: &Filled,
) -> Result<(&'a FormConfig, Checked), (StatusCode, String)> {
    let (Some(form), Some(today)) = (desk.config.form(attribute), desk.today()) else {
        return Err((StatusCode::NOT_FOUND, page::not_found(&desk.config)));
    };
    let checked = check(form, filled, today).map_err(|faults| {
        let page = page::form(&desk.config, form, filled, &faults);
        (StatusCode::UNPROCESSABLE_ENTITY, page)
    })?;
    Ok((form, checked))
}

async fn checked(
    desk: web::Data<Desk>,
    attribute: web::Path<String>,
    filled: web::Form<Filled>,
) -> HttpResponse {
    match read(&desk, &attribute, &filled) {
        Ok((form, _)) => html(
            StatusCode::OK,
            page::confirm(&desk.config, form, &filled, &[]),
        ),
        Err((status, page)) => html(status, page),
    }
}

async fn signed(
    desk: web::Data<Desk>,
    attribute: web::Path<String>,
    filled: web::Form<Filled>,
) -> HttpResponse {
    let (form, checked) = match read(&desk, &attribute, &filled) {
        Ok(read) => read,
        Err((status, page)) => return html(status, page),
    };
    let refused = |fault: Fault| {
        let page = page::confirm(&desk.config, form, &filled, &[fault]);
        html(StatusCode::UNPROCESSABLE_ENTITY, page)
    };
    let Ok(once) = Bytes32::parse(&filled.once) else {
        return refused(fault("staff_key", "This form is too old. Start again."));
    };
    let (statement, key) = match checked.statement(&desk.config, form, &filled, desk.clock.now()) {
        Ok(stated) => stated,
        Err(fault) => return refused(fault),
    };
    let expected = statement.clone();
    match desk.store.enter(&once, statement, &key).await {
        // The same form with other fields is another entry, and would be lost.
        Ok(entry) if !same(&entry.statement, &expected) => refused(fault(
            "staff_key",
            "This form was sent before with something else in it. Start again.",
        )),
        Ok(entry) => html(StatusCode::OK, page::entered(&desk.config, form, &entry)),
        Err(error) => {
            tracing::error!(%error, "an entry was not kept");
            desk.failed()
        }
    }
}

/// Whether two statements say the same, whenever they were made.
fn same(kept: &super::Statement, sent: &super::Statement) -> bool {
    let mut sent = sent.clone();
    sent.number = kept.number;
    sent.recorded = kept.recorded;
    *kept == sent
}

async fn entries(
    desk: web::Data<Desk>,
    request: HttpRequest,
    question: web::Json<Question>,
) -> Result<HttpResponse, Problem> {
    desk.admit(&request)?;
    let answer = desk.store.entries(&question).await.map_err(internal)?;
    Ok(HttpResponse::Ok().json(answer))
}

async fn touched(
    desk: web::Data<Desk>,
    request: HttpRequest,
    question: web::Json<TouchedQuestion>,
) -> Result<HttpResponse, Problem> {
    desk.admit(&request)?;
    let answer = desk.store.touched(&question).await.map_err(internal)?;
    Ok(HttpResponse::Ok().json(answer))
}
