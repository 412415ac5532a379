// Run by mongosh in compose.yaml: makes the replica set, waits until it can be written to, and brings the
// login of custom-mongo up to date. The second time it changes nothing. Passwords come from files, so
// that they are in no argument and no environment.

const secret = (name) => require("fs").readFileSync(`/run/secrets/${name}`, "utf8").trim();

db.getSiblingDB("admin").auth("root", secret("mongodb-root"));
try {
  rs.status();
} catch (error) {
  if (error.codeName !== "NotYetInitialized") {
    throw error;
  }
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: process.env.MONGODB_HOST }] });
}
while (!db.hello().isWritablePrimary) {
  sleep(200);
}

var password = secret("custom-mongo");
load("/mongodb-role.js");
