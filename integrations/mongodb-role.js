// The least that custom-mongo needs in MongoDB: a role for the hook, one for `collect`, and a user with
// a password that you type.
//
//   mongosh "mongodb://HOST/admin" --username ADMIN --file integrations/mongodb-role.js
//
// Run it again after an upgrade: it brings the role up to date and leaves the user alone.
// Other names:  mongosh … --eval 'var database = "soc", user = "wazuh-paris"' --file …
// Only the hook:  --eval 'var collect = false'
// Also a user for `migrate` and `erase`, who may delete, with a password of its own (custom-mongo-admin):
//                 --eval 'var admin = true'

const target = typeof database === "string" ? database : "wazuh_config_assessment";
const name = typeof user === "string" ? user : "custom-mongo";
const collects = typeof collect === "boolean" ? collect : true;
const users = db.getSiblingDB(target);

const privileges = [
  {
    resource: { db: target, collection: "alerts" },
    actions: [
      "insert",      // the hook; it never updates and never removes
      "find",        // --test reads back what it wrote; is the collection empty?
      "changeStream", // `watch` and the service's stream: alerts as they are stored, on a replica set
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

// What `collect` keeps: the inventory with its versions, its own progress, its runs, its lease. Nothing
// here touches the alerts.
const inventory = [
  "agents", "syscheck", "software_inventory", "os_info", "hardware", "hotfixes", "ports", "processes",
  "network_interfaces", "network_addresses", "network_protocols", "users", "groups", "services",
  "browser_extensions", "sca_policies", "sca_checks", "rootcheck",
  "collect_state", "collect_runs", "leases",
];
const collecting = [
  "find",        // read back what is stored, and write only what changed
  "insert",      // new things, and the old version of what changed
  "update",      // what changed, or is gone: nothing that has a history is ever removed
  "createIndex", // with the first run
  "listIndexes", // `check`
];
// These keep their current state only: what is gone is deleted.
const volatile = ["ports", "processes"];
const inventoryPrivileges = inventory.map((collection) => ({
  resource: { db: target, collection },
  actions: volatile.includes(collection) ? [...collecting, "remove"] : collecting,
}));

// `migrate` and `erase` alone may remove, and drop an index. Their user is another than the hook's: give
// it to them when you need it (MONGO_URI=… custom-mongo migrate), and do not leave it in the settings.
const beside = [
  "agents_python_service", "syscheck_python_service", "software_inventory_python_service",
  "os_info_python_service", "erasures",
];
const administering = [
  "find", "insert", "update", "remove", "createIndex", "dropIndex", "listIndexes",
];
const administrator = ["alerts", ...inventory, ...beside].map((collection) => ({
  resource: { db: target, collection },
  actions: administering,
}));

const bring = (role, privileges) => {
  if (users.getRole(role)) {
    users.updateRole(role, { privileges, roles: [] });
    print(`role ${role} in ${target}: brought up to date`);
  } else {
    users.createRole({ role, privileges, roles: [] });
    print(`role ${role} in ${target}: created`);
  }
  return role;
};

const roles = [bring("customMongoHook", privileges)];
if (collects) {
  roles.push(bring("customMongoCollect", inventoryPrivileges));
}

if (users.getUser(name)) {
  users.grantRolesToUser(name, roles);
  print(`user ${name} in ${target}: has ${roles.join(" and ")}`);
} else {
  users.createUser({ user: name, pwd: typeof password === "string" ? password : passwordPrompt(), roles });
  print(`user ${name} in ${target}: created`);
}

if (typeof admin === "boolean" && admin) {
  const role = bring("customMongoAdmin", administrator);
  const person = `${name}-admin`;
  if (users.getUser(person)) {
    users.grantRolesToUser(person, [role]);
  } else {
    print(`a password for ${person}:`);
    users.createUser({ user: person, pwd: passwordPrompt(), roles: [role] });
  }
  print(`user ${person} in ${target}: has ${role}`);
}

print(`
Into /var/ossec/etc/custom-mongo.toml (the password into a file of its own, mode 0640, root:wazuh):

  [store]
  uri = "mongodb://${name}@HOST/?authSource=${target}"
  password_file = "/var/ossec/etc/custom-mongo.password"
  database = "${target}"

then:  /var/ossec/integrations/custom-mongo check`);
