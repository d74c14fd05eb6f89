// Holds the notifier against an independent SMSC: the server of the npm package `smpp`.
//
// usage: node smpp_judge.mjs NOTIFIER
//
// NOTIFIER is the built `notifier`; `smpp` must be installed beside this file or in NODE_PATH. Exit 0 when the notifier binds, its
// texts arrive in the default alphabet with a receipt asked for, receipts and replies are taken and acknowledged, a text that
// was throttled is sent again, a long-lived link is kept, a reply in segments is joined, and a text whose response was lost is
// settled by its receipt.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import assert from 'node:assert/strict';

const smpp = createRequire(join(process.env.NODE_PATH ?? import.meta.dirname, 'x.js'))('smpp');
const [notifier] = process.argv.slice(2);
assert(notifier, 'usage: node smpp_judge.mjs NOTIFIER');

const folder = mkdtempSync(join(tmpdir(), 'smpp-judge-'));
const phone = '14155550132';
const texts = [];
let bound, throttled = 0, silent = false, acknowledged = 0;

const server = smpp.createServer((session) => {
  session.on('error', () => {});
  session.on('bind_transceiver', (pdu) => {
    if (pdu.system_id !== 'notifier' || pdu.password !== 'secret') {
      return session.send(pdu.response({ command_status: smpp.ESME_RBINDFAIL }));
    }
    bound = session;
    session.send(pdu.response());
  });
  session.on('submit_sm', (pdu) => {
    if (throttled > 0) {
      throttled -= 1;
      return session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    }
    const id = `id-${texts.length + 1}`;
    texts.push({ id, pdu, body: pdu.short_message.message });
    if (!silent) session.send(pdu.response({ message_id: id }));
    silent = false;
  });
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => session.send(pdu.response()));
});

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
async function eventually(what, holds) {
  const until = Date.now() + 40_000;
  while (Date.now() < until) {
    const found = await holds();
    if (found) return found;
    await sleep(100);
  }
  throw new Error(`it never came to hold: ${what}`);
}
const deliver = (fields) => new Promise((done) => {
  bound.deliver_sm({ source_addr: phone, source_addr_ton: 1, source_addr_npi: 1, ...fields }, (response) => {
    assert.equal(response.command_status, smpp.ESME_ROK);
    acknowledged += 1;
    done();
  });
});
const receipt = (text, stat) => deliver({
  esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
  short_message: `id:${text.id} sub:001 dlvrd:001 submit date:2612010900 done date:2612010901 stat:${stat} err:000 text:`,
});

let process_;
try {
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const secret = (name, value) => {
    writeFileSync(join(folder, name), value);
    return `{ file = "${join(folder, name)}" }`;
  };
  const key = Buffer.alloc(32).toString('base64url');
  writeFileSync(join(folder, 'notifier.toml'), `
listen = "127.0.0.1:0"
database = "sqlite:${join(folder, 'notifier.db')}"
operator_key = ${secret('operator', key)}
signing_key = ${secret('signing', key)}
rules = { texting_hours = [0, 24] }
retry = { base_seconds = 1 }
callers = [{ name = "judge", token = ${secret('token', 'token')}, may = ["contacts", "messages"] }]
providers = [{ kind = "smpp", name = "smsc", address = "127.0.0.1:${server.address().port}", system_id = "notifier", password = ${secret('password', 'secret')}, from = "898211", timeout_seconds = 2, settle_seconds = 20 }]
`);
  process_ = spawn(notifier, [join(folder, 'notifier.toml')], { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, RUST_LOG: 'warn' } });
  const url = await new Promise((done) => createInterface({ input: process_.stdout }).once('line', done));
  const api = async (method, path, body) => {
    const answer = await fetch(url + path, {
      method, headers: { authorization: 'Bearer token', 'content-type': 'application/json' }, body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  };
  await eventually('the notifier binds', () => bound);

  const { body: contact } = await api('POST', '/v1/contacts', { phone: `+${phone}`, language: 'es' });
  const asked = await eventually('the verification text arrives', () => texts[0]);
  assert.equal(asked.pdu.destination_addr, phone);
  assert.equal(asked.pdu.registered_delivery, 1);
  assert.equal(asked.pdu.data_coding, 0);
  assert.match(asked.body, /^Ayuda con su plan: ¿Nos dio este celular/, 'the default alphabet is read as GSM 03.38');
  const [, code] = asked.body.match(/Responda SI (\S+)/);
  await receipt(asked, 'DELIVRD');
  await deliver({ short_message: { message: `Sí ${code}` }, data_coding: 8 });
  const state = async () => (await api('GET', `/v1/contacts/${contact.contact}`)).body.state;
  await eventually('the reply verifies the phone', async () => (await state()) === 'verified');

  throttled = 1;
  const question = {
    contact: contact.contact, template: 'apply', params: { jurisdiction: 'CA' }, decision_id: 'd1',
    deadline: Math.floor(Date.now() / 1000) + 400_000, undo_seconds: 0, idempotency_key: 'k1',
  };
  const { body: sent } = await api('POST', '/v1/messages', question);
  const arrived = (words) => () => texts.find((text) => text.body.includes(words));
  const text = await eventually('a throttled text is sent again', arrived(`SI ${sent.code}`));
  await receipt(text, 'DELIVRD');
  const stateOf = async (id) => (await api('GET', `/v1/messages/${id}`)).body.state;
  await eventually('its receipt is taken', async () => (await stateOf(sent.id)) === 'delivered');
  // In two segments, the second first; the header is the library's.
  const segment = (number, message) => deliver({
    esm_class: smpp.ESM_CLASS.UDH_INDICATOR, short_message: { udh: Buffer.from([5, 0, 3, 42, 2, number]), message },
  });
  await segment(2, `as ${sent.code}`);
  await segment(1, 'si graci');
  const reply = await api('GET', '/v1/replies/d1?wait=20');
  assert.equal(reply.body.answer, 'YES');

  const told = { contact: contact.contact, template: 'filed', params: { jurisdiction: 'CA' }, idempotency_key: 'k2' };
  await eventually('the confirming text has left', arrived('Recibimos su SI'));
  silent = true;
  const { body: lost } = await api('POST', '/v1/messages', told);
  const taken = await eventually('it arrives', arrived('ya tiene su solicitud'));
  await sleep(3_000);
  await receipt(taken, 'DELIVRD');
  await eventually('the receipt settles what the lost response left open', async () => (await stateOf(lost.id)) === 'delivered');
  assert.equal(texts.filter((text) => text.body.includes('ya tiene su solicitud')).length, 1, 'one text');
  console.log(`smpp: ${texts.length} texts submitted, ${acknowledged} receipts and replies acknowledged: an independent SMSC agrees`);
} finally {
  process_?.kill();
  server.close();
  rmSync(folder, { recursive: true, force: true });
}
process.exit(0);
