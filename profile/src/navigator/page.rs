//! The form's pages.

use contracts::encoding::Bytes32;
use contracts::ids::Domain;
use maud::{Markup, html};
use oracles::pages::{Fault, field, shell, summary};
use oracles::problem::Problem;

use super::config::NavigatorConfig;
use super::form::Filled;

/// What the person takes home.
pub(super) struct Takeaway<'a> {
    pub(super) profile: &'a Bytes32,
    pub(super) owner_token: &'a str,
    pub(super) recovery_code: &'a str,
    /// What went wrong with looking after cover, where something did.
    pub(super) lacking: Option<&'a str>,
}

const RECORDS: [(Domain, &str); 5] = [
    (Domain::Identity, "Identity records"),
    (Domain::Residence, "Where I live"),
    (Domain::Income, "What I earn"),
    (Domain::Household, "Whom I live with"),
    (Domain::Medical, "Conditions that matter for coverage"),
];

/// The form, empty or as it was sent with its faults; the SSN is typed again.
pub(super) fn form(config: &NavigatorConfig, filled: &Filled, faults: &[Fault]) -> String {
    let text = |name: &'static str, value: &str, kind: &str| {
        let (value, kind) = (value.to_owned(), kind.to_owned());
        move |described: &str| {
            html! { input id=(name) name=(name) type=(kind) value=(value) maxlength="100" autocomplete="off" aria-describedby=(described); }
        }
    };
    let languages = [("en", "English"), ("es", "Español")];
    let body = html! {
        (summary(faults))
        p { "Read each question aloud. Nothing typed here is kept on this device." }
        form method="post" action="/enrol" novalidate {
            input type="hidden" name="once" value=(filled.once);
            (field(faults, "phone", "Mobile number", "It is asked by text before anything else is sent.", text("phone", &filled.phone, "tel")))
            fieldset id="language" {
                legend { "Language of texts" }
                @for (code, label) in languages {
                    div {
                        input type="radio" id={ "language-" (code) } name="language" value=(code) checked[filled.language == code];
                        label for={ "language-" (code) } lang=(code) { (label) }
                    }
                }
            }
            (field(faults, "given_name", "Given name", "As the birth record has it.", text("given_name", &filled.given_name, "text")))
            (field(faults, "family_name", "Family name", "As the birth record has it.", text("family_name", &filled.family_name, "text")))
            (field(faults, "birth_date", "Date of birth", "Year-month-day, such as 1992-02-29.", text("birth_date", &filled.birth_date, "date")))
            (field(faults, "ssn", "Social Security number", "Sealed on this device; only identity oracles can open it.", text("ssn", "", "password")))
            (field(faults, "state", "State", "Where the person lives, in two letters.", text("state", &filled.state, "text")))
            fieldset id="identity" {
                legend { "Which records may be asked?" }
                p class="hint" { "Each can be taken back later. Without one, what rests on it must be shown on paper." }
                @for (domain, label) in RECORDS {
                    @let name = domain.as_str();
                    div {
                        input type="checkbox" id={ "may-" (name) } name=(name) value="yes" checked[filled.consents_to(domain)];
                        label for={ "may-" (name) } { (label) }
                        " " span class="hint" { "(" (config.sources_of(domain)) ")" }
                    }
                }
            }
            div class="field" {
                input type="checkbox" id="replaces" name="replaces" value="yes" checked[!filled.replaces.is_empty()];
                label for="replaces" { "The person was enrolled before and lost everything" }
            }
            button type="submit" { "Text the phone" }
        }
    };
    shell(&config.name, "Enrol a person", !faults.is_empty(), &body)
}

/// A text is out; nothing else is sent before its YES. What the person takes home is shown already, so that nothing is lost where
/// this program ends before it can say that they are enrolled.
pub(super) fn waiting(
    config: &NavigatorConfig,
    id: &Bytes32,
    taken: &Takeaway<'_>,
    told: Option<&Problem>,
) -> String {
    let body = html! {
        @if let Some(problem) = told {
            div class="faults" role="alert" tabindex="-1" {
                h2 { (problem.title) }
                p { (problem.detail) }
            }
        }
        p { "The phone was asked by text whether it is the person's. They reply YES and the word that the newest text shows." }
        p { "Write these down for the person. They count once the person is enrolled." }
        (takeaway(taken))
        form method="post" action={ "/enrol/" (id) } {
            button type="submit" { "They have replied: go on" }
        }
        (stop(id, "Stop, and forget what was typed"))
    };
    shell(&config.name, "Waiting for the phone", told.is_some(), &body)
}

/// What the person takes home, shown until it is closed.
pub(super) fn done(config: &NavigatorConfig, id: &Bytes32, taken: &Takeaway<'_>) -> String {
    let body = html! {
        p role="status" { "Enrolled. Texts come when something is to be decided." }
        @if let Some(lacking) = taken.lacking {
            div class="faults" role="alert" { h2 { "Cover is not looked after yet" } p { (lacking) } }
        }
        p { "Write these down for the person. They are not shown again after this." }
        (takeaway(taken))
        (stop(id, "They have it: close"))
    };
    shell(&config.name, "Enrolled", false, &body)
}

fn takeaway(taken: &Takeaway<'_>) -> Markup {
    html! {
        dl {
            dt { "Recovery code, for a new phone number" } dd { (taken.recovery_code) }
            dt { "Profile" } dd { (taken.profile) }
            dt { "Key of the profile, to be kept secret" } dd { (taken.owner_token) }
        }
    }
}

fn stop(id: &Bytes32, label: &str) -> Markup {
    html! {
        form method="post" action={ "/enrol/" (id) "/close" } {
            button type="submit" { (label) }
        }
    }
}

/// Something that cannot go on.
pub(super) fn ended(config: &NavigatorConfig, title: &str, detail: &str) -> String {
    let body = html! {
        p { (detail) }
        p { a href="/" { "Enrol a person" } }
    };
    shell(&config.name, title, true, &body)
}
