// Drives identity as a relying party would, with the independent library openid-client, and prints what it saw as JSON.
// usage: node openid_client.mjs ISSUER CLIENT_ID REDIRECT_URI PARTNER_ID PARTNER_SECRET ; lines on stdin answer its questions.
import * as client from "openid-client";
import { createInterface } from "node:readline";

const [issuer, clientId, redirectUri, partnerId, partnerSecret] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const insecure = { execute: [client.allowInsecureRequests] };
const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");

const config = await client.discovery(new URL(issuer), clientId, undefined, client.None(), insecure);
const verifier = client.randomPKCECodeVerifier();
const challenge = await client.calculatePKCECodeChallenge(verifier);
const state = client.randomState();
const nonce = client.randomNonce();
const authorize = client.buildAuthorizationUrl(config, {
  redirect_uri: redirectUri,
  scope: "openid profile offline_access",
  code_challenge: challenge,
  code_challenge_method: "S256",
  state,
  nonce,
});
say({ authorize: authorize.href });
const { value: callback } = await lines.next();
const tokens = await client.authorizationCodeGrant(config, new URL(callback), {
  pkceCodeVerifier: verifier,
  expectedState: state,
  expectedNonce: nonce,
  idTokenExpected: true,
});
const claims = tokens.claims();
const user = await client.fetchUserInfo(config, tokens.access_token, claims.sub);
const refreshed = await client.refreshTokenGrant(config, tokens.refresh_token);
const reuse = await client.refreshTokenGrant(config, tokens.refresh_token).then(() => "accepted", (e) => e.error);
const family = await client.refreshTokenGrant(config, refreshed.refresh_token).then(() => "accepted", (e) => e.error);
const partner = await client.discovery(new URL(issuer), partnerId, undefined, client.ClientSecretBasic(partnerSecret), insecure);
const machine = await client.clientCredentialsGrant(partner, { scope: "indicators.observations.write" });
const wrong = await client.discovery(new URL(issuer), partnerId, undefined, client.ClientSecretPost("wrong"), insecure);
const why = (e) => e.error ?? e.cause?.[0]?.parameters?.error;
const refused = await client.clientCredentialsGrant(wrong).then(() => "accepted", why);
const revocable = await client.discovery(new URL(issuer), clientId, undefined, client.None(), insecure);
await client.tokenRevocation(revocable, refreshed.refresh_token);
say({ claims, user, refreshed: refreshed.access_token !== tokens.access_token, reuse, family, refused,
  machine: { token_type: machine.token_type, scope: machine.scope, access_token: machine.access_token } });
process.exit(0);
