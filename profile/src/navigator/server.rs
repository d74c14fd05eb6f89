//! The form's one door, on the navigator's own device.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex as Table, PoisonError};
use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::{StatusCode, header};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, Error, HttpResponse, HttpServer, web};
use contracts::encoding::Bytes32;
use oracles::clock::Clock;
use oracles::http;
use oracles::pages::{self, Fault, fault};
use oracles::problem::Problem;
use tokio::sync::Mutex;

use super::client::{Client, Contact};
use super::config::NavigatorConfig;
use super::form::{Filled, Person};
use super::page::{self, Takeaway};
use crate::api::types::CreatedProfile;
use crate::oracle::random32;
use crate::server::StartError;

/// Largest form, in bytes.
const MAX_FORM_BODY: usize = 8 << 10;
/// People who are being enrolled at once.
const MAX_PEOPLE: usize = 32;
/// The profile service's code for a profile that is enrolled.
const ENROLLED: &str = "enrolled";
/// In place of a recovery code, where the phone was registered by a form that was interrupted.
const FIRST_CODE: &str = "the one written down first";
/// How long somebody's enrolment is kept in memory.
const KEPT: Duration = Duration::from_secs(3_600);

/// Somebody's enrolment, in memory alone.
struct Enrolment {
    contact: Contact,
    created: CreatedProfile,
    stage: Stage,
}

enum Stage {
    /// What was said waits for the phone's YES.
    Said(Box<Person>),
    /// Handles are held; what is still lacking.
    Enrolled(Option<String>),
}

type Kept = (Instant, Arc<Mutex<Enrolment>>);

struct Form {
    config: NavigatorConfig,
    client: Client,
    people: Table<BTreeMap<Bytes32, Kept>>,
    /// One form is taken in at a time, so that the same one sent twice registers one person.
    taking: Mutex<()>,
    address: SocketAddr,
}

/// A form that is served.
pub struct RunningForm {
    address: SocketAddr,
    handle: ServerHandle,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl RunningForm {
    /// Where.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The server's.
    pub async fn finished(self) -> std::io::Result<()> {
        self.task.await.map_err(std::io::Error::other)?
    }

    /// Stops; who is being enrolled is forgotten.
    pub async fn stop(self) {
        self.handle.stop(true).await;
    }
}

/// Starts to serve the form.
///
/// # Errors
/// [`StartError`], naming the field and the fix.
pub fn start(config: &NavigatorConfig) -> Result<RunningForm, StartError> {
    let client = Client::new(config)?;
    let listener = TcpListener::bind(config.listen).map_err(StartError::Listen)?;
    let address = listener.local_addr().map_err(StartError::Listen)?;
    let form = web::Data::from(Arc::new(Form {
        config: config.clone(),
        client,
        people: Table::default(),
        taking: Mutex::default(),
        address,
    }));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(form.clone())
            .app_data(
                web::FormConfig::default()
                    .limit(MAX_FORM_BODY)
                    .error_handler(|_, _| {
                        Problem::bad_request("body: a field is missing, unknown or too long").into()
                    }),
            )
            .wrap(from_fn(http::bounded_body))
            .wrap(from_fn(own_pages_only))
            .wrap(pages::headers())
            .route("/", web::get().to(empty))
            .route("/style.css", web::get().to(style))
            .route("/healthz", web::get().to(HttpResponse::Ok))
            .route("/enrol", web::post().to(take))
            .route("/enrol/{id}", web::get().to(look))
            .route("/enrol/{id}", web::post().to(go_on))
            .route("/enrol/{id}/close", web::post().to(close))
    })
    .workers(1)
    .listen(listener)
    .map_err(StartError::Listen)?
    .run();
    let handle = server.handle();
    Ok(RunningForm {
        address,
        handle,
        task: tokio::spawn(server),
    })
}

/// Refuses what another site's page would have this device's browser send: a name that was made to point here, or a form of its own.
async fn own_pages_only(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let text = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };
    let address = request
        .app_data::<web::Data<Form>>()
        .map(|form| form.address);
    let own = address.is_some_and(|address| {
        let names = [address.to_string(), format!("localhost:{}", address.port())];
        let host = text(header::HOST).is_some_and(|host| names.iter().any(|name| name == host));
        let origin = text(header::ORIGIN);
        host && origin.is_none_or(|origin| {
            names
                .iter()
                .any(|name| origin.strip_prefix("http://") == Some(name))
        })
    });
    match own {
        true => next.call(request).await,
        false => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "foreign-page",
            "Refused",
            "open the form at the address that the program printed",
        )
        .into()),
    }
}

fn html(status: StatusCode, page: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(page)
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .body(pages::STYLE)
}

async fn empty(form: web::Data<Form>) -> HttpResponse {
    let mut filled = Filled::default();
    filled.once = random32().to_string();
    filled.language = "en".to_owned();
    html(StatusCode::OK, page::form(&form.config, &filled, &[]))
}

impl Form {
    fn person(&self, id: &Bytes32) -> Option<Arc<Mutex<Enrolment>>> {
        let people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.get(id).map(|(_, person)| Arc::clone(person))
    }

    /// Makes room: who is done with, or was left, is forgotten. False where there is none.
    fn has_room(&self) -> bool {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.retain(|_, (since, _)| since.elapsed() < KEPT);
        people.len() < MAX_PEOPLE
    }

    fn keep(&self, id: Bytes32, enrolment: Enrolment) {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        people.insert(id, (Instant::now(), Arc::new(Mutex::new(enrolment))));
    }

    fn unknown(&self) -> HttpResponse {
        let detail = "Nobody is being enrolled here: it was closed, an hour has passed, or the program was started anew. Fill in the form again.";
        html(
            StatusCode::NOT_FOUND,
            page::ended(&self.config, "Not found", detail),
        )
    }

    fn shown(&self, id: &Bytes32, enrolment: &Enrolment, told: Option<&Problem>) -> HttpResponse {
        let lacking = match &enrolment.stage {
            Stage::Said(_) => None,
            Stage::Enrolled(lacking) => lacking.as_deref(),
        };
        let taken = Takeaway {
            profile: &enrolment.created.profile,
            owner_token: &enrolment.created.owner_token,
            recovery_code: &enrolment.contact.recovery_code,
            lacking,
        };
        let page = match &enrolment.stage {
            Stage::Said(_) => page::waiting(&self.config, id, &taken, told),
            Stage::Enrolled(_) => page::done(&self.config, id, &taken),
        };
        let status = told.and_then(|problem| StatusCode::from_u16(problem.status).ok());
        html(status.unwrap_or(StatusCode::OK), page)
    }
}

fn see(id: &Bytes32) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, format!("/enrol/{id}")))
        .finish()
}

/// Registers the phone and makes a profile; what was said waits for the phone's YES.
async fn take(form: web::Data<Form>, filled: web::Form<Filled>) -> HttpResponse {
    let refused = |faults: Vec<Fault>| {
        let page = page::form(&form.config, &filled, &faults);
        html(StatusCode::UNPROCESSABLE_ENTITY, page)
    };
    let _one = form.taking.lock().await;
    let Ok(id) = Bytes32::parse(&filled.once) else {
        return refused(vec![fault("phone", "Open the form anew")]);
    };
    if form.person(&id).is_some() {
        return see(&id);
    }
    let person = match filled.check(Clock::system().today()) {
        Ok(person) => person,
        Err(faults) => return refused(faults),
    };
    if !form.has_room() {
        let detail = "Too many people are being enrolled at once: close those that are done.";
        let page = page::ended(&form.config, "Full", detail);
        return html(StatusCode::TOO_MANY_REQUESTS, page);
    }
    let begun = async {
        let created = form.client.create(&id).await?;
        let contact = form
            .client
            .register(&filled.phone, &filled.language)
            .await?;
        Ok::<_, Problem>((created, contact))
    };
    match begun.await {
        Ok((created, contact)) => {
            let stage = Stage::Said(Box::new(person));
            form.keep(
                id,
                Enrolment {
                    contact,
                    created,
                    stage,
                },
            );
            see(&id)
        }
        // This very form enrolled them, and the program ended before it could say so.
        Err(problem) if problem.code() == ENROLLED => {
            let detail = "The person was enrolled by this form before it was interrupted. What they wrote down serves. Ask your organisation to see that cover is looked after.";
            let page = page::ended(&form.config, "Enrolled already", detail);
            html(StatusCode::CONFLICT, page)
        }
        Err(problem) => {
            let told = format!("{}: {}", problem.title, problem.detail);
            refused(vec![fault("phone", told)])
        }
    }
}

async fn look(form: web::Data<Form>, id: web::Path<Bytes32>) -> HttpResponse {
    match form.person(&id) {
        Some(person) => form.shown(&id, &*person.lock().await, None),
        None => form.unknown(),
    }
}

/// Enrols the person, once the phone has said YES.
async fn go_on(form: web::Data<Form>, id: web::Path<Bytes32>) -> HttpResponse {
    let Some(person) = form.person(&id) else {
        return form.unknown();
    };
    let mut enrolment = person.lock().await;
    let Stage::Said(said) = &enrolment.stage else {
        return see(&id);
    };
    let enrolled = async {
        let contact = enrolment.contact.contact.as_str();
        match form.client.standing(contact).await?.as_str() {
            "verified" => {}
            "unverified" => {
                return Err(not_yet(
                    "The phone has not replied yet",
                    "ask the person to reply YES and the word",
                ));
            }
            _ => {
                return Err(not_yet(
                    "The phone was refused",
                    "its reader says that it is not the person's: stop here and begin with another number",
                ));
            }
        }
        let earlier = match form.client.enrol(said, &enrolment.created, contact).await {
            Ok(_) => false,
            // By this form before it was interrupted, with the phone as it was registered then.
            Err(problem) if problem.code() == ENROLLED => true,
            Err(problem) => return Err(problem),
        };
        let looked_after = form.client.look_after(said, &enrolment.created).await;
        let lacking = looked_after
            .err()
            .map(|problem| format!("{}: {}", problem.title, problem.detail));
        Ok((earlier, lacking))
    };
    match enrolled.await {
        Ok((earlier, lacking)) => {
            if earlier {
                enrolment.contact.recovery_code = FIRST_CODE.to_owned();
            }
            enrolment.stage = Stage::Enrolled(lacking);
            see(&id)
        }
        Err(problem) => form.shown(&id, &enrolment, Some(&problem)),
    }
}

fn not_yet(title: &str, detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "phone", title, detail)
}

/// Forgets somebody.
async fn close(form: web::Data<Form>, id: web::Path<Bytes32>) -> HttpResponse {
    let mut people = form.people.lock().unwrap_or_else(PoisonError::into_inner);
    people.remove(&*id);
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, "/"))
        .finish()
}
