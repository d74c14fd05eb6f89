//! A lying node's door to owners. What it answers there is not signed by the node, so the lies are told in front of it.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};

use super::byzantine::die;
use super::fault::{Fault, SIGNING_STEPS, When};
use super::lie;

/// Largest body passed in or out, in bytes; nodes have smaller caps.
const MAX_BODY: usize = 16 << 20;

struct Door {
    inner: SocketAddr,
    faults: Vec<Fault>,
    client: reqwest::Client,
    firsts: Mutex<HashMap<String, Bytes>>,
}

/// Opens a door on a free loopback port to the node that listens at `inner`.
///
/// # Errors
/// No port, or no client.
pub fn open(
    inner: SocketAddr,
    faults: Vec<Fault>,
) -> Result<(ServerHandle, SocketAddr), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = listener.local_addr()?;
    let door = Data::new(Door {
        inner,
        faults,
        client: oracles::http::client(),
        firsts: Mutex::default(),
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(door.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .default_service(web::to(pass))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)?
    .run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok((handle, address))
}

async fn pass(request: HttpRequest, body: Bytes, door: Data<Door>) -> HttpResponse {
    let path = request.path();
    // What nodes say to each other is sealed and signed inside; that liar is another.
    let owners = request.method() == actix_web::http::Method::POST && path.starts_with("/v1/");
    let step = owners
        .then(|| path.rsplit('/').next())
        .flatten()
        .and_then(|last| {
            SIGNING_STEPS
                .into_iter()
                .find(|step| step.strip_prefix("door.") == Some(last))
        });
    if let Some(step) = step.filter(|step| door.dies(step, When::Before)) {
        die(step);
    }
    let Ok((status, answer)) = door.forward(&request, body).await else {
        return HttpResponse::BadGateway().finish();
    };
    if let Some(step) = step.filter(|step| door.dies(step, When::After)) {
        die(step);
    }
    let Some(step) = step else {
        return reply(status, answer);
    };
    for fault in &door.faults {
        match fault {
            Fault::Oversized => return endless(),
            Fault::Garbage => return reply(StatusCode::OK, lie::garbage().into()),
            Fault::OtherType => return reply(StatusCode::OK, lie::other_type().into()),
            Fault::Replay => return reply(status, door.first(path, answer)),
            Fault::LyingCoordinator
                if ["door.complete", "door.attest", "door.decide", "door.append"]
                    .contains(&step) =>
            {
                let lie = lie::one_place(&answer).map_or(answer, Bytes::from);
                return reply(status, lie);
            }
            _ => {}
        }
    }
    reply(status, answer)
}

impl Door {
    fn dies(&self, step: &'static str, when: When) -> bool {
        self.faults.contains(&Fault::Crash(step, when))
    }

    fn first(&self, path: &str, answer: Bytes) -> Bytes {
        let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
        firsts.entry(path.to_owned()).or_insert(answer).clone()
    }

    async fn forward(
        &self,
        request: &HttpRequest,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error>> {
        let uri = format!("http://{}{}", self.inner, request.uri());
        let method = request.method().as_str().parse::<reqwest::Method>()?;
        let mut asked = self.client.request(method, uri).body(body);
        if let Some(kind) = request.headers().get("content-type") {
            asked = asked.header("content-type", kind.as_bytes());
        }
        let answer = asked.send().await?;
        let status = StatusCode::from_u16(answer.status().as_u16())?;
        let answer = oracles::http::read_capped(answer, MAX_BODY).await?;
        Ok((status, answer.into()))
    }
}

fn reply(status: StatusCode, answer: Bytes) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("application/json")
        .body(answer)
}

/// An answer without end, in chunks of 64 KiB of white space.
fn endless() -> HttpResponse {
    let chunks = futures::stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some((
            Ok::<_, std::convert::Infallible>(Bytes::from(vec![b' '; 64 << 10])),
            (),
        ))
    });
    HttpResponse::Ok()
        .content_type("application/json")
        .streaming(chunks)
}
