# Texts in Spanish. GSM-7 has é, ñ, ü, ¿ and ¡ but no á, í, ó, ú: one such letter would double the price of a text, so the
# words are chosen without them. SI is written without its accent, as people type it.
by-date = { $day } { $month ->
    [1] ene
    [2] feb
    [3] mar
    [4] abr
    [5] may
    [6] jun
    [7] jul
    [8] ago
    [9] sep
    [10] oct
    [11] nov
   *[12] dic
}
within-hours = { $hours } horas
within-minutes = { $minutes } min
in-hours = en { $hours } horas
in-minutes = en { $minutes } min
helper = { $state ->
    [none] Ayuda con su plan
   *[other] Ayuda con su plan, { $state }
}
whom = { $named ->
    [yes] { $label }
   *[no] quien usted representa
}

verify = { helper }: ¿Nos dio este celular para avisos de su plan? Responda SI { $code } para recibirlos. Responda NO { $code } si no. Ayuda: AYUDA. Baja: ALTO.
apply = { helper }: Tal vez pueda tener su plan del estado. Responda SI { $code } y lo pedimos. Plazo: { $by }. O ponga NO { $code }. Ayuda: AYUDA. Baja: ALTO.
move = { helper }: Tal vez haya un plan en su nuevo estado. Responda SI { $code } y lo pedimos. Plazo: { $by }. O ponga NO { $code }. Ayuda: AYUDA. Baja: ALTO.
renew = { helper }: Ya toca renovar su plan. Responda SI { $code } y lo renovamos. Plazo: { $by }. O ponga NO { $code }. Ayuda: AYUDA. Baja: ALTO.
gap = { helper }: Hay un plan hasta que empiece uno del estado. Responda SI { $code } y lo tiene. Plazo: { $by }. O ponga NO { $code }. Ayuda: AYUDA. Baja: ALTO.
change = { helper }: Su plan puede acabar por un cambio. Responda SI { $code } si es cierto. Ponga MAL { $code } si no. Plazo: { $by }. Ayuda: AYUDA. Baja: ALTO.
apply_for = { helper }: Tal vez haya un plan del estado para { whom }. SI { $code } y lo pedimos. Plazo: { $by }. O NO { $code }. Ayuda: AYUDA. Baja: ALTO.
move_for = { helper }: Tal vez haya un plan en otro estado para { whom }. SI { $code } y lo pedimos. Plazo: { $by }. O NO { $code }. Ayuda: AYUDA. Baja: ALTO.
renew_for = { helper }: Ya toca renovar el plan de { whom }. SI { $code } y lo renovamos. Plazo: { $by }. O NO { $code }. Ayuda: AYUDA. Baja: ALTO.
gap_for = { helper }: Hay un plan para { whom } hasta el del estado. SI { $code } y lo tiene. Plazo: { $by }. O NO { $code }. Ayuda: AYUDA. Baja: ALTO.
change_for = { helper }: Puede acabar el plan de { whom }. SI { $code } si es cierto, MAL { $code } si no. Plazo: { $by }. Ayuda: AYUDA. Baja: ALTO.
designate = { helper }: ¿Quiere que le represente la persona que nos dijo? Responda SI { $code } o NO { $code }. Plazo: { $by }. Ayuda: AYUDA. Baja: ALTO.
represent = { helper }: ¿Va a representar a { $named ->
    [yes] { $label }
   *[no] una persona
} sin contar lo que sepa? Responda SI { $code } o NO { $code }. Plazo: { $by }. Ayuda: AYUDA. Baja: ALTO.
grant_given = { helper }: Ahora una persona le puede representar. Si no lo quiere, llame al { $help }. Ayuda: AYUDA. Baja: ALTO.
grant_used = { helper }: Quien le representa nos dio una respuesta. Si no es cierto, llame al { $help }. Baja: ALTO.
grant_ended = { helper }: Una persona ya no le representa. Si no lo quiere, llame al { $help }. Baja: ALTO.
grant_over = { helper }: Ya no representa a esa persona. Su respuesta ya no vale para ella. Si quiere ayuda, llame al { $help }. Baja: ALTO.
news = { helper }: Hay un aviso para { whom }. Llame al { $help } y se lo leemos. Ayuda: AYUDA. Baja: ALTO.
filed = { helper }: Su estado ya tiene su solicitud. Le van a llamar o escribir. No haga nada por ahora. Ayuda: AYUDA. Baja: ALTO.
not_filed = { helper }: No se pudo mandar su solicitud. Todo sigue igual. Si quiere ayuda, llame al { $help }. Baja: ALTO.
accepted = { helper }: Buena noticia. Su estado dijo que SI. Le van a mandar una tarjeta. Ayuda: AYUDA. Baja: ALTO.
refusal = { helper }: Su estado dijo que no. Le van a escribir y le van a decir por qué. Si quiere ayuda, llame al { $help }. Baja: ALTO.
not_eligible = { helper }: Por ahora no puede tener el plan del estado. Tal vez haya ayuda gratis. Llame al { $help }. Baja: ALTO.
needs_info = { helper }: Nos hacen falta datos suyos. Por favor llame al { $help }. Baja: ALTO.
show = { helper }: Su estado le pide un papel para seguir con su plan. Si quiere ayuda, llame al { $help }. Baja: ALTO.
ending = { helper }: Su plan del estado se acaba pronto. Tal vez haya ayuda gratis. Llame al { $help }. Baja: ALTO.
overdue = { helper }: Su estado se tarda. Ya se lo dijimos. No haga nada por ahora. Ayuda: AYUDA. Baja: ALTO.
free = { helper }: Pida primero la ayuda gratis: cuentas de antes, el plan de los hijos. Llame al { $help }. Baja: ALTO.
free_market = { helper }: Pida primero la ayuda gratis: cuentas de antes, el plan de los hijos, HealthCare.gov. Llame al { $help }. Baja: ALTO.
gap_begins = { helper }: Ya tiene un plan por ahora. Se acaba si empieza uno del estado. Ayuda: AYUDA. Baja: ALTO.
gap_ends = { helper }: Ya tiene el plan del estado. Se acaba el plan que tuvo por ahora. Ayuda: AYUDA. Baja: ALTO.
no_gap = { helper }: No hay un plan por ahora. Tal vez haya ayuda gratis. Llame al { $help }. Baja: ALTO.
watch_begins = { helper }: Usted nos deja ver si hay algo nuevo para su plan. Si ya no quiere, llame al { $help }. Baja: ALTO.
watch_ending = { helper }: Pronto ya no veremos si hay algo nuevo para su plan. Si quiere que siga, llame al { $help }. Baja: ALTO.
watch_ended = { helper }: Ya no vemos si hay algo nuevo para su plan. Si lo quiere de nuevo, llame al { $help }. Baja: ALTO.
reminder = { helper }: No tenemos su respuesta. Ponga SI { $code } o NO { $code }. Plazo: { $by }. Si no, no hacemos nada. Ayuda: AYUDA. Baja: ALTO.
message = Ayuda con su plan: Usted tiene un mensaje. Llame al { $help } y se lo leemos. Ayuda: AYUDA. Baja: ALTO.
verified = { helper }: Gracias. Le vamos a mandar avisos. No van a ser muchos. Ayuda: AYUDA. Baja: ALTO.
refused = { helper }: Gracias. No le vamos a escribir a este celular.
moved = { helper }: Ahora le escribimos a su nuevo celular. Si no fue usted, llame ya al { $help }.
confirm = { helper }: Recibimos su SI { $code }. { $question ->
    [gap] El plan es suyo
    [gap_for] El plan es suyo
    [renew] Lo renovamos
    [renew_for] Lo renovamos
    [designate] Le representa
    [represent] Lo apuntamos
   *[other] Lo pedimos
} { $undo }. ¿No fue usted? ¿Tiene dudas? Responda NO { $code } antes.
confirm_now = { helper }: Recibimos su SI { $code }. { $question ->
    [gap] Ya es suyo.
    [gap_for] Ya es suyo.
    [renew] Ya lo renovamos.
    [renew_for] Ya lo renovamos.
    [designate] Ya le representa.
    [represent] Ya lo apuntamos.
   *[other] Ya lo pedimos.
}
noted = { helper }: Recibimos su SI { $code }. No haga nada por ahora.
declined = { helper }: Recibimos su NO { $code }. No vamos a hacer nada.
undone = { helper }: Recibimos su NO { $code }. Su SI ya no vale. No vamos a hacer nada.
disputed = { helper }: Nos dijo que esto no es cierto. No seguimos. Lo va a ver una persona. Si quiere, llame al { $help }.
disputed_late = { helper }: Nos dijo que esto no es cierto. Lo va a ver una persona. Tal vez ya la mandamos. Llame al { $help }.
too_late = { helper }: Su respuesta { $code } ya se ha usado. Para hacer un cambio, llame al { $help }.
late = { helper }: Ya no hay tiempo para { $code }. No se hizo nada. Si quiere ayuda, llame al { $help }.
unclear = { helper }: No le entendimos. Ponga SI { $code } o NO { $code }. No hacemos nada sin eso. Ayuda: AYUDA. Baja: ALTO.
unclear_undo = { helper }: No le entendimos. Su SI { $code } vale. Ponga NO { $code } si ya no quiere. Ayuda: AYUDA. Baja: ALTO.
human = { helper }: No le entendimos. Por favor llame al { $help }. Una persona le ayuda.
locked = { helper }: Hubo muchas claves malas. No se hizo nada. Si quiere ayuda, llame al { $help }.
shared_on = Ayuda con su plan: Gracias. Ahora solo le vamos a decir que tiene un mensaje. Para saber el mensaje, llame al { $help }.
help = Ayuda con su plan: Le avisamos si puede tener un plan. Para hablar con una persona, llame al { $help }. Ponga ALTO y no le escribimos.
stopped = Ayuda con su plan: Ya no le vamos a escribir. Ponga INICIAR y le escribimos otra vez.
stopped_open = Ayuda con su plan: Ya no le vamos a escribir. Puede poner SI { $code } o NO { $code } y cuenta. No le vamos a responder. INICIAR para volver.
stopped_yes = Ayuda con su plan: Ya no le vamos a escribir. Su SI { $code } vale. Ponga NO { $code } si ya no quiere. Ponga INICIAR para volver.
stopped_undone = Ayuda con su plan: Su SI ya no vale. No vamos a hacer nada. Ya no le vamos a escribir. Ponga INICIAR para volver.
started = Ayuda con su plan: Le vamos a escribir otra vez. Ayuda: AYUDA. Baja: ALTO.
