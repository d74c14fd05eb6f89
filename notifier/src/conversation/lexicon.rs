//! The words and phrases of the grammar, in both languages, as [`super::words`] writes them.

/// Say yes. Runs of a letter are made single before comparing. The second line is what thumbs make of YES.
pub(super) const YES: &[&str] = &[
    "YES", "Y", "YEAH", "YEA", "YEP", "YUP", "SI", "SIP", //
    "YSE", "YEZ", "YRS", "YS", "YAS", "TES", "UES", "YED", "EYS", "YWS",
];
/// Say no.
pub(super) const NO: &[&str] = &["NO", "N", "NOPE", "NOP", "NAH", "N0", "NOE"];
/// Turn a YES beside them into something else; harmless beside a NO.
pub(super) const NEGATIONS: &[&str] = &[
    "NOT", "DONT", "DO NOT", "NEVER", "WONT", "CANT", "CANNOT", "WOULDNT", "NUNCA", "TAMPOCO",
    "NADA", "NI", "STOP", "ISNT", "WASNT", "DIDNT",
];
/// Words that carry no meaning of their own beside an answer.
pub(super) const FILLERS: &[&str] = &[
    "PLEASE",
    "PLZ",
    "PLS",
    "PLEAS",
    "THANKS",
    "THANK",
    "THX",
    "TY",
    "YOU",
    "U",
    "I",
    "ID",
    "WOULD",
    "LIKE",
    "WANT",
    "DO",
    "TO",
    "IT",
    "APPLY",
    "FOR",
    "ME",
    "THE",
    "THAT",
    "SIR",
    "MAAM",
    "MAM",
    "HI",
    "HELLO",
    "HEY",
    "OK",
    "OKAY",
    "MY",
    "CODE",
    "IS",
    "ANSWER",
    "REPLY",
    "SURE",
    "ABSOLUTELY",
    "DEFINITELY",
    "GO",
    "AHEAD",
    "AND",
    "LETS",
    "SAY",
    "WE",
    "GOD",
    "BLESS",
    "PLAN",
    "A",
    "VERY",
    "MUCH",
    "SO", //
    "POR",
    "FAVOR",
    "PORFAVOR",
    "PORFA",
    "GRACIAS",
    "MUCHAS",
    "QUIERO",
    "LO",
    "LA",
    "SENOR",
    "SENORA",
    "SENORITA",
    "HOLA",
    "BUENOS",
    "BUENAS",
    "DIAS",
    "TARDES",
    "NOCHES",
    "CLARO",
    "MI",
    "CODIGO",
    "CLAVE",
    "ES",
    "RESPUESTA",
    "EL",
    "CON",
    "GUSTO",
    "PEDIRLO",
    "SOLICITAR",
    "SOLICITARLO",
    "APLICAR",
    "DESEO",
    "YO",
    "QUE",
    "DIOS",
    "BENDIGA",
    "LOS",
    "LES",
    "DE",
];
/// Courtesy that may stand beside a command.
pub(super) const COURTESY: &[&str] = &[
    "PLEASE", "PLZ", "PLS", "THANKS", "THANK", "YOU", "NOW", "POR", "FAVOR", "PORFAVOR", "GRACIAS",
    "YA", "IT", "OK", "HI", "HELLO", "HOLA", "TEXT", "A", "I", "NEED", "WANT", "ALL",
];

/// End texts, alone. Words that carriers and the CTIA handbook take for opting out, their Spanish counterparts, and typos.
pub(super) const STOP: &[&str] = &[
    "STOP",
    "STOPALL",
    "UNSUBSCRIBE",
    "UNSUSCRIBE",
    "UNSUB",
    "END",
    "QUIT",
    "REVOKE",
    "OPTOUT",
    "STPO",
    "SOTP",
    "STOOP",
    "STOPP",
    "SOP",
    "ALTO",
    "PARAR",
    "PARE",
    "PAREN",
    "BAJA",
    "DETENER",
    "DETENGAN",
    "TERMINAR",
    "BASTA",
    "ARRET",
];
/// End texts, alone, and take an answer back.
pub(super) const CANCEL: &[&str] = &[
    "CANCEL",
    "CANCELAR",
    "CANCELEN",
    "CANCELE",
    "CANCELLED",
    "CANCELA",
];
/// Ask for texts again, alone. YES is absent: carriers take it for START, and it would swallow an answer.
pub(super) const START: &[&str] = &[
    "START", "UNSTOP", "RESUME", "INICIAR", "EMPEZAR", "COMENZAR", "ALTA", "REANUDAR", "STRAT",
];
/// Ask who texts, alone.
pub(super) const HELP: &[&str] = &[
    "HELP",
    "INFO",
    "AYUDA",
    "AYUDEME",
    "AYUDENME",
    "HLEP",
    "HEPL",
    "AIUDA",
    "INFORMACION",
    "AUXILIO",
];
/// Take a YES back.
pub(super) const UNDO: &[&str] = &[
    "UNDO", "UNDOO", "DESHACER", "ANULAR", "REVERTIR", "ANULE", "DESAGA", "DESHAGA",
];
/// Say that what a text rests on is not right.
pub(super) const WRONG: &[&str] = &[
    "WRONG",
    "WORNG",
    "INCORRECT",
    "MISTAKE",
    "MAL",
    "INCORRECTO",
    "INCORRECTA",
    "EQUIVOCADO",
    "EQUIVOCACION",
    "FALSO",
    "ERROR",
];
/// Say that others read the phone.
pub(super) const SHARED: &[&str] = &[
    "SHARED",
    "SHARE",
    "SHARING",
    "COMPARTIDO",
    "COMPARTIDA",
    "COMPARTO",
    "COMPARTIMOS",
];
/// May stand beside UNDO, WRONG or SHARED.
pub(super) const BESIDE: &[&str] = &[
    "THIS", "IS", "THATS", "THAT", "IT", "ITS", "MY", "A", "THE", "PHONE", "I", "WE", "MAKE",
    "MADE", "WAS", "PLEASE", "AN", "ESTO", "ESTA", "ESTE", "ES", "EL", "LA", "MI", "UN", "UNA",
    "TELEFONO", "CELULAR", "POR", "FAVOR", "FUE", "HAY",
];

/// Phrases that ask who texts.
pub(super) const HELP_PHRASES: &[&str] = &[
    "WHO IS THIS",
    "WHOS THIS",
    "WHO R U",
    "WHO ARE YOU",
    "WHAT IS THIS",
    "WHATS THIS",
    "WHO IS IT",
    "HELP ME",
    "NEED HELP",
    "MORE INFO",
    "MORE INFORMATION",
    "IS THIS A SCAM",
    "IS THIS REAL", //
    "QUIEN ES",
    "QUIENES SON",
    "QUIEN HABLA",
    "QUE ES ESTO",
    "DE QUE SE TRATA",
    "NECESITO AYUDA",
    "MAS INFO",
    "MAS INFORMACION",
    "ES UNA ESTAFA",
];
/// Phrases that take a YES back.
pub(super) const UNDO_PHRASES: &[&str] = &[
    "CHANGED MY MIND",
    "CHANGE MY MIND",
    "TAKE IT BACK",
    "TAKE THAT BACK",
    "CAMBIE DE IDEA",
    "CAMBIE DE OPINION",
    "ME ARREPENTI",
];
/// Phrases that dispute.
pub(super) const WRONG_PHRASES: &[&str] = &[
    "NOT TRUE",
    "NOT RIGHT",
    "NOT CORRECT",
    "NO ES CIERTO",
    "NO ES VERDAD",
    "NO ES CORRECTO",
    "NO ESTA BIEN",
    "ESTA MAL",
];
/// Phrases of people who are not who we text.
pub(super) const NOT_ME_PHRASES: &[&str] = &[
    "WRONG NUMBER",
    "WRONG NUMBR",
    "WRONG PERSON",
    "WRONG PHONE",
    "NOT MY NAME",
    "DONT KNOW THIS PERSON",
    "NEW NUMBER",
    "NUMERO EQUIVOCADO",
    "EQUIVOCADO DE NUMERO",
    "EQUIVOCO DE NUMERO",
    "PERSONA EQUIVOCADA",
    "NO SOY ESA PERSONA",
    "NUMERO INCORRECTO",
    "NO ES SU NUMERO",
    "SE EQUIVOCO",
];

/// Phrases that end texts wherever they stand in a short text.
pub(super) const STOP_PHRASES: &[&str] = &[
    "OPT OUT",
    "OPT ME OUT",
    "OPTING OUT",
    "LEAVE ME ALONE",
    "LEAVE US ALONE",
    "LOSE MY NUMBER",
    "GO AWAY",
    "UNSUBSCRIBE ME",
    "UNSUBSCRIBE",
    "STOP BOTHERING",
    "STOP SPAMMING",
    "NO MORE TEXTS",
    "NO MORE MESSAGES",
    "NO MORE SMS",
    "NO MORE MSGS",
    "DO NOT CALL LIST", //
    "EN PAZ",
    "DE BAJA",
    "DAR BAJA",
    "NO MAS MENSAJES",
    "NO MAS TEXTOS",
    "NO MAS SMS",
    "YA NO QUIERO MENSAJES",
    "NO QUIERO MENSAJES",
    "NO QUIERO MAS MENSAJES",
    "NO QUIERO RECIBIR",
    "YA NO QUIERO RECIBIR",
    "NO MOLESTEN",
    "NO ME MOLESTEN",
    "DEJEN DE MOLESTAR",
];
/// Verbs that end something ...
pub(super) const ENDING: &[&str] = &[
    "STOP",
    "QUIT",
    "CEASE",
    "END",
    "CANCEL",
    "DISCONTINUE",
    "STPO",
    "PARE",
    "PAREN",
    "DEJE",
    "DEJEN",
    "DETENGAN",
    "CANCELAR",
    "CANCELEN",
    "ALTO",
];
/// ... and what of ours they may end.
pub(super) const TEXTING: &[&str] = &[
    "TEXTING",
    "TEXTS",
    "TEXT",
    "TXT",
    "TXTS",
    "TXTING",
    "MESSAGING",
    "MESSAGES",
    "MESSAGE",
    "MSGS",
    "MSG",
    "SMS",
    "SENDING",
    "CONTACTING",
    "SUBSCRIPTION",
    "MENSAJES",
    "MENSAJE",
    "TEXTOS",
    "ENVIAR",
    "ENVIARME",
    "MANDAR",
    "MANDARME",
    "ESCRIBIR",
    "ESCRIBIRME",
    "MENSAJEAR",
    "SUSCRIPCION",
];
/// Refusals ...
pub(super) const REFUSING: &[&str] = &["DONT", "NOT", "NO", "NEVER", "NUNCA", "STOP"];
/// ... of what we do to a phone, when a pronoun or "more" follows.
pub(super) const APPROACHING: &[&str] = &[
    "TEXT",
    "TXT",
    "MESSAGE",
    "CONTACT",
    "SEND",
    "BOTHER",
    "SPAM",
    "ENVIEN",
    "MANDEN",
    "MANDE",
    "ENVIE",
    "ESCRIBAN",
    "ESCRIBA",
    "CONTACTEN",
    "TEXTEEN",
    "LLAMEN",
    "MENSAJEEN",
];
/// Removals ...
pub(super) const REMOVING: &[&str] = &[
    "TAKE",
    "REMOVE",
    "DELETE",
    "ERASE",
    "QUITEN",
    "QUITENME",
    "QUITEME",
    "BORREN",
    "BORRENME",
    "SAQUENME",
    "SAQUEN",
    "ELIMINEN",
    "ELIMINENME",
    "REMUEVAN",
    "BORRE",
    "QUITE",
    "ELIMINE",
];
/// ... from where.
pub(super) const LISTS: &[&str] = &["LIST", "NUMBER", "OFF", "LISTA", "NUMERO", "LISTAS"];
