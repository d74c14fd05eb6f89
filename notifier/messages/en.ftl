# Texts in English. Sixth-grade words; no health or income detail; who writes, what a reply does, by when, how to stop.
# GSM-7 characters only, one segment each. $by and $undo are filled in from the first block.
by-date = by { $month ->
    [1] Jan
    [2] Feb
    [3] Mar
    [4] Apr
    [5] May
    [6] Jun
    [7] Jul
    [8] Aug
    [9] Sep
    [10] Oct
    [11] Nov
   *[12] Dec
} { $day }
within-hours = within { $hours } hours
within-minutes = within { $minutes } min
in-hours = in { $hours } hours
in-minutes = in { $minutes } min
helper = { $state ->
    [none] Coverage helper
   *[other] { $state } coverage helper
}
whom = { $named ->
    [yes] { $label }
   *[no] the one you act for
}

verify = { helper }: Did you ask us to text you about a state health plan? Reply YES { $code } to get our texts. Reply NO { $code } if not. Help: HELP. Stop: STOP.
apply = { helper }: You may be able to get your state health plan. Reply YES { $code } to apply { $by }. Reply NO { $code } to skip. Help: HELP. Stop: STOP.
move = { helper }: You may be able to get a plan in your new state. Reply YES { $code } to apply { $by }. Reply NO { $code } to skip. Help: HELP. Stop: STOP.
renew = { helper }: It is time to renew your plan. Reply YES { $code } to renew { $by }. Reply NO { $code } to skip. Help: HELP. Stop: STOP.
gap = { helper }: We found a plan for now. It ends if a state plan starts. Reply YES { $code } to sign up { $by }. NO { $code } to skip. Help: HELP. Stop: STOP.
change = { helper }: Your state got news that may end your plan. Reply YES { $code } if it is right, or WRONG { $code } if not, { $by }. Help: HELP. Stop: STOP.
apply_for = { helper }: { $named ->
    [yes] There may be a state plan for { $label }.
   *[no] The one you act for may be able to get a state plan.
} Reply YES { $code } to apply { $by }. NO { $code } to skip. Help: HELP. Stop: STOP.
move_for = { helper }: { $named ->
    [yes] There may be a plan in a new state for { $label }.
   *[no] The one you act for may get a plan in a new state.
} Reply YES { $code } to apply { $by }. NO { $code } to skip. Help: HELP. Stop: STOP.
renew_for = { helper }: It is time to renew for { whom }. Reply YES { $code } to renew { $by }. NO { $code } to skip. Help: HELP. Stop: STOP.
gap_for = { helper }: A plan for { whom } until a state plan starts? Reply YES { $code } to sign up { $by }. NO { $code } to skip. Help: HELP. Stop: STOP.
change_for = { helper }: News may end the plan { $named ->
    [yes] for { $label }
   *[no] of the one you act for
}. Reply YES { $code } if it is right, or WRONG { $code }, { $by }. Help: HELP. Stop: STOP.
designate = { helper }: Do you want the one you named to act for you? Reply YES { $code } to let them { $by }. NO { $code } if not. Help: HELP. Stop: STOP.
represent = { helper }: Will you act for { $named ->
    [yes] { $label }
   *[no] someone
}, and tell no one what you learn? Reply YES { $code } if so, { $by }. NO { $code } if not. Help: HELP. Stop: STOP.
grant_given = { helper }: Someone may now act for you. If you do not want that, call { $help }. Help: HELP. Stop: STOP.
grant_used = { helper }: The one who acts for you sent us a reply. If that is not right, call { $help }. Stop: STOP.
grant_ended = { helper }: Someone can no longer act for you. If you do not want that, call { $help }. Stop: STOP.
grant_over = { helper }: You no longer act for someone. A reply of yours for them does not count. Questions? Call { $help }. Stop: STOP.
news = { helper }: We have news for { whom }. To hear it, call { $help }. Help: HELP. Stop: STOP.
filed = { helper }: Your state got your form. They will write or call you. You do not need to do more now. Help: HELP. Stop: STOP.
not_filed = { helper }: We could not send in your form. Nothing changed. To get help, call { $help }. Stop: STOP.
accepted = { helper }: Good news. Your state said yes to your form. They will send you a card. Help: HELP. Stop: STOP.
refusal = { helper }: Your state said no to your form. They will write to you and tell you why. To ask for help, call { $help }. Stop: STOP.
not_eligible = { helper }: You can not get the state plan for now. There may be free help. To hear more, call { $help }. Stop: STOP.
needs_info = { helper }: We need more from you to go on. Please call { $help }. Stop: STOP.
show = { helper }: Your state asks for a form to keep your plan. To get help with it, call { $help }. Stop: STOP.
ending = { helper }: Your state plan will end soon. There may be free help. To hear more, call { $help }. Stop: STOP.
overdue = { helper }: Your state is late. We told them so. You do not need to do more now. Help: HELP. Stop: STOP.
free = { helper }: First ask for free help: old bills, a clinic, the kids plan. To hear more, call { $help }. Stop: STOP.
free_market = { helper }: First ask for free help: old bills, a clinic, the kids plan, HealthCare.gov. To hear more, call { $help }. Stop: STOP.
gap_begins = { helper }: Your plan for now is set. It ends if a state plan starts. Help: HELP. Stop: STOP.
gap_ends = { helper }: You have your state plan, so your plan for now ends. Help: HELP. Stop: STOP.
no_gap = { helper }: We found no plan for now. There may be free help. To hear more, call { $help }. Stop: STOP.
watch_begins = { helper }: You let us look out for news that may change your plan. To stop it, call { $help }. Help: HELP. Stop: STOP.
watch_ending = { helper }: We will soon stop to look out for news on your plan. To have us go on, call { $help }. Stop: STOP.
watch_ended = { helper }: We no longer look out for news on your plan. To have us do it again, call { $help }. Stop: STOP.
reminder = { helper }: We still need to hear from you. Reply YES { $code } or NO { $code } { $by }. If not, we will do nothing. Help: HELP. Stop: STOP.
message = Coverage helper: You have a message. To hear it, call { $help }. Help: HELP. Stop: STOP.
verified = { helper }: Thank you. You will get our texts. We will not text you a lot. Help: HELP. Stop: STOP.
refused = { helper }: Thank you. We will not text you here.
moved = { helper }: Our texts now go to your new phone. If this was not you, call { $help } now.
confirm = { helper }: We got your YES { $code }. We will { $question ->
    [gap] sign you up
    [gap_for] sign them up
    [renew] renew for you
    [renew_for] renew for them
    [apply_for] apply for them
    [move_for] apply for them
    [designate] let them act for you
    [represent] note that you will act
   *[other] apply for you
} { $undo }. Not you, or not sure? Reply NO { $code } before then.
confirm_now = { helper }: We got your YES { $code }. We will { $question ->
    [gap] sign you up
    [gap_for] sign them up
    [renew] renew for you
    [renew_for] renew for them
    [apply_for] apply for them
    [move_for] apply for them
    [designate] let them act for you
    [represent] note that you will act
   *[other] apply for you
} now.
noted = { helper }: We got your YES { $code }. You do not need to do more now.
declined = { helper }: We got your NO { $code }. We will do nothing.
undone = { helper }: We got your NO { $code }. We took back your YES and will do nothing.
disputed = { helper }: You told us this is wrong. We stopped. One of us will look at it. You can call { $help }, too.
disputed_late = { helper }: You told us this is wrong. One of us will look at it. We may have sent in your form, so call { $help }, too.
too_late = { helper }: We used your reply { $code } and can not change it here. To change it, call { $help }.
late = { helper }: The time to reply with { $code } is up. We did nothing. To get help, call { $help }.
unclear = { helper }: We did not get that. Reply YES { $code } or NO { $code }. We will do nothing until you do. Help: HELP. Stop: STOP.
unclear_undo = { helper }: We did not get that. Your YES { $code } stands. To take it back, reply NO { $code }. Help: HELP. Stop: STOP.
human = { helper }: We did not get that. Please call { $help }. Someone there will help you.
locked = { helper }: We got too many wrong codes. We did nothing. To get help, call { $help }.
shared_on = Coverage helper: Thank you. From now on we will just text that you have a message. To hear it, call { $help }.
help = Coverage helper: We text you when you may be able to get or keep a plan. To talk to someone, call { $help }. Reply STOP to stop our texts.
stopped = Coverage helper: We will not text you any more. To get our texts again, reply START.
stopped_open = Coverage helper: We will not text you any more. You can still reply YES { $code } or NO { $code }; we will not text back. Reply START to get our texts again.
stopped_yes = Coverage helper: We will not text you any more. Your YES { $code } still counts. Reply NO { $code } to take it back. Reply START to get our texts again.
stopped_undone = Coverage helper: We took back your YES and will do nothing. We will not text you any more. Reply START to get our texts again.
started = Coverage helper: You will get our texts again. Help: HELP. Stop: STOP.
