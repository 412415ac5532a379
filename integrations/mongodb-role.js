// The least that custom-mongo needs in MongoDB: a role, and a user with a password that you type.
//
//   mongosh "mongodb://HOST/admin" --username ADMIN --file integrations/mongodb-role.js
//
// Run it again after an upgrade: it brings the role up to date and leaves the user alone.
// Other names:  mongosh … --eval 'var database = "soc", user = "wazuh-paris"' --file …

const target = typeof database === "string" ? database : "wazuh_config_assessment";
const name = typeof user === "string" ? user : "custom-mongo";
const role = "customMongoHook";
const users = db.getSiblingDB(target);

const privileges = [
  {
    resource: { db: target, collection: "alerts" },
    actions: [
      "insert",      // the hook; it never updates and never removes
      "find",        // --test reads back what it wrote; is the collection empty?
      "createIndex", // only while the collection is empty
      "listIndexes", // `check` names the indexes that are absent
    ],
  },
  {
    // `check` proves the write concern with a document of its own, in a collection of its own.
    resource: { db: target, collection: "custom_mongo_check" },
    actions: ["insert", "find", "remove", "dropCollection"],
  },
];

if (users.getRole(role)) {
  users.updateRole(role, { privileges, roles: [] });
  print(`role ${role} in ${target}: brought up to date`);
} else {
  users.createRole({ role, privileges, roles: [] });
  print(`role ${role} in ${target}: created`);
}

if (users.getUser(name)) {
  users.grantRolesToUser(name, [role]);
  print(`user ${name} in ${target}: has the role`);
} else {
  users.createUser({ user: name, pwd: passwordPrompt(), roles: [role] });
  print(`user ${name} in ${target}: created`);
}

print(`
Into /var/ossec/etc/custom-mongo.toml (the password into a file of its own, mode 0640, root:wazuh):

  [store]
  uri = "mongodb://${name}@HOST/?authSource=${target}"
  password_file = "/var/ossec/etc/custom-mongo.password"
  database = "${target}"

then:  /var/ossec/integrations/custom-mongo check`);
