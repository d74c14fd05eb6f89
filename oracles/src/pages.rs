//! Parts of pages with forms: HTML without scripts, for any browser, keyboard and screen reader (WCAG 2.2 AA in structure: labels,
//! error summary, focus, language, contrast).

use actix_web::http::header;
use actix_web::middleware::DefaultHeaders;
use maud::{DOCTYPE, Markup, html};

/// The style, served at `/style.css`.
pub const STYLE: &str = include_str!("pages.css");
/// Nothing but the server's own style and forms; no script at all, and no other site's frame.
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field's id.
    pub field: &'static str,
    /// What to write.
    pub fix: String,
}

/// A fault of a field.
pub fn fault(field: &'static str, fix: impl Into<String>) -> Fault {
    let fix = fix.into();
    Fault { field, fix }
}

/// Headers of every page: nothing is loaded from elsewhere, kept or framed.
pub fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((header::CONTENT_SECURITY_POLICY, POLICY))
        .add((header::CACHE_CONTROL, "no-store"))
        // With `no-referrer` a browser would send its own forms with `Origin: null` (Fetch, "append a request Origin header").
        .add((header::REFERRER_POLICY, "same-origin"))
        .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
}

/// A page of a site; `failed` says so in its title.
pub fn shell(site: &str, title: &str, failed: bool, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { @if failed { "Error: " } (title) " – " (site) }
                link rel="stylesheet" href="/style.css";
            }
            body {
                header { p { a href="/" { (site) } } }
                main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    }
    .into_string()
}

/// The faults of a form, each with a link to its field.
pub fn summary(faults: &[Fault]) -> Markup {
    html! {
        @if !faults.is_empty() {
            div class="faults" role="alert" tabindex="-1" {
                h2 { "There is a problem" }
                ul { @for fault in faults { li { a href={ "#" (fault.field) } { (fault.fix) } } } }
            }
        }
    }
}

/// A labelled input with its hint and its fault.
pub fn field(
    faults: &[Fault],
    id: &'static str,
    label: &str,
    hint: &str,
    input: impl Fn(&str) -> Markup,
) -> Markup {
    let fault = faults.iter().find(|fault| fault.field == id);
    let described = match fault {
        Some(_) => format!("{id}-hint {id}-fault"),
        None => format!("{id}-hint"),
    };
    html! {
        div class="field" {
            label for=(id) { (label) }
            p id={ (id) "-hint" } class="hint" { (hint) }
            @if let Some(fault) = fault { p id={ (id) "-fault" } class="fault" { "Error: " (fault.fix) } }
            (input(&described))
        }
    }
}
