// What a back end and a device do with the Azure IoT SDKs for Node.js. One JSON line a check: [name, null or the error].
// Arguments: connection string of the hub, address of its MQTT port 8883, URL of its port mapper. NODE_EXTRA_CA_CERTS
// names its CA. The SDK knows no other ports than 443 and 8883.
'use strict';

const assert = require('node:assert');
const { Client: Service, ConnectionString, JobClient, Registry } = require('azure-iothub');
const { Client: Device, Message, ModuleClient } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { HttpsProxyAgent } = require('https-proxy-agent');

const [, , hub, gateway, proxy] = process.argv;
const registry = Registry.fromConnectionString(hub);
const service = Service.fromConnectionString(hub);
const jobs = JobClient.fromConnectionString(hub);
const host = ConnectionString.parse(hub).HostName;

const body = (answer) => answer && (answer.responseBody ?? answer.jobStatus ?? answer);
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function eventually(look) {
  for (const end = Date.now() + 30000; ; await pause(50)) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, 'not within 30 s: ' + look);
  }
}

async function refused(work, status) {
  try {
    await work();
  } catch (error) {
    const seen = error.response ? error.response.statusCode : error.statusCode;
    assert.strictEqual(seen, status, `${error.name}: ${error.message}`);
    return error;
  }
  throw new Error('nothing was refused');
}

async function device(id, more = {}) {
  const made = body(await registry.create({ deviceId: id, status: 'enabled', ...more }));
  return made.authentication.symmetricKey.primaryKey;
}

async function connected(client, work) {
  await client.open();
  try {
    await work(client);
  } finally {
    await client.close();
  }
}

async function deviceLife(id, client) {
  await connected(client, async () => {
    const twin = await client.getTwin();
    const seen = [];
    twin.on('properties.desired', (delta) => seen.push(delta));
    await new Promise((done, fail) => twin.properties.reported.update({ alive: id }, (e) => (e ? fail(e) : done())));
    client.onDeviceMethod('echo', (request, response) => response.send(201, { got: request.payload }));
    await client.sendEvent(new Message(JSON.stringify({ n: 1 })));
    const cloud = body(await registry.getTwin(id));
    assert.strictEqual(cloud.properties.reported.alive, id);
    assert.strictEqual(cloud.connectionState, 'Connected');
    await registry.updateTwin(id, { properties: { desired: { wanted: 7 } } }, cloud.etag);
    await eventually(() => seen.some((delta) => delta.wanted === 7));
    const answer = await eventually(async () => {
      try {
        return (await service.invokeDeviceMethod(id, { methodName: 'echo', payload: { a: [1] }, responseTimeoutInSeconds: 10 })).result;
      } catch (error) {
        return null; // its subscription is still on its way
      }
    });
    assert.deepStrictEqual([answer.status, answer.payload], [201, { got: { a: [1] } }]);
  });
}

const checks = {
  async 'devices: create, get, update, list, delete'() {
    await device('n-crud');
    await refused(() => registry.create({ deviceId: 'n-crud' }), 409);
    const got = body(await registry.get('n-crud'));
    assert.strictEqual(got.status, 'enabled');
    const updated = body(await registry.update({ ...got, status: 'disabled', statusReason: 'test' }));
    assert.deepStrictEqual([updated.status, updated.statusReason], ['disabled', 'test']);
    assert((await registry.list()).responseBody.some((item) => item.deviceId === 'n-crud'));
    await registry.delete('n-crud');
    const error = await refused(() => registry.get('n-crud'), 404);
    assert.strictEqual(error.name, 'DeviceNotFoundError');
  },

  async 'devices: in bulk, and statistics'() {
    await device('n-counted');
    const many = ['n-b1', 'n-b2'].map((deviceId) => ({ deviceId }));
    assert.strictEqual(body(await registry.addDevices(many)).isSuccessful, true);
    assert.strictEqual(body(await registry.removeDevices(many, true)).isSuccessful, true);
    const counts = body(await registry.getRegistryStatistics());
    assert(counts.totalDeviceCount >= 1 && counts.enabledDeviceCount >= 1);
  },

  async 'modules: create, get, list, remove'() {
    await device('n-mod');
    await registry.addModule({ deviceId: 'n-mod', moduleId: 'm' });
    assert.strictEqual(body(await registry.getModule('n-mod', 'm')).moduleId, 'm');
    assert.deepStrictEqual(body(await registry.getModulesOnDevice('n-mod')).map((item) => item.moduleId), ['m']);
    await registry.updateModuleTwin('n-mod', 'm', { tags: { a: 1 } }, '*');
    assert.deepStrictEqual(body(await registry.getModuleTwin('n-mod', 'm')).tags, { a: 1 });
    await registry.removeModule('n-mod', 'm');
  },

  async 'twins: update, a stale etag, replace'() {
    await device('n-twin');
    const first = body(await registry.getTwin('n-twin'));
    const second = body(await registry.updateTwin('n-twin', { tags: { a: 1, b: 2 } }, first.etag));
    await refused(() => registry.updateTwin('n-twin', { tags: { a: 2 } }, first.etag), 412);
    const third = body(await registry.updateTwin('n-twin', { tags: { a: null } }, second.etag));
    assert.deepStrictEqual(third.tags, { b: 2 });
  },

  async 'queries: pages of twins, groups, and a bad one'() {
    for (const id of ['n-q1', 'n-q2', 'n-q3']) {
      await device(id);
      await registry.updateTwin(id, { tags: { kind: 'query', odd: id !== 'n-q2' } }, '*');
    }
    const query = registry.createQuery("SELECT * FROM devices WHERE tags.kind = 'query'", 2);
    const found = [];
    while (query.hasMoreResults) found.push(...(await query.nextAsTwin()).result.map((twin) => twin.deviceId));
    assert.deepStrictEqual(found, ['n-q1', 'n-q2', 'n-q3']);
    const text = "SELECT tags.odd AS odd, COUNT() AS n FROM devices WHERE tags.kind = 'query' GROUP BY tags.odd";
    assert.deepStrictEqual((await registry.createQuery(text).next()).result, [{ odd: true, n: 2 }, { odd: false, n: 1 }]);
    await refused(() => registry.createQuery('SELECT nonsense FROM devices').next(), 400);
  },

  async 'configurations: create, update, list, remove, and set modules'() {
    await device('n-edge', { capabilities: { iotEdge: true } });
    const agent = { 'properties.desired': { schemaVersion: '1.1', modules: { web: {} } } };
    const wanted = { id: 'n-conf', content: { modulesContent: { $edgeAgent: agent } }, targetCondition: "deviceId = 'n-edge'", priority: 3 };
    await registry.addConfiguration(wanted);
    const made = body(await registry.getConfiguration('n-conf'));
    assert.strictEqual(made.systemMetrics.results.appliedCount, 1);
    await registry.updateConfiguration({ ...made, priority: 4 }, true);
    assert.strictEqual(body(await registry.getConfiguration('n-conf')).priority, 4);
    assert(body(await registry.getConfigurations()).some((item) => item.id === 'n-conf'));
    await refused(() => registry.addConfiguration({ ...wanted, id: 'n-in', targetCondition: "deviceId IN ['a']" }), 400);
    await registry.removeConfiguration('n-conf');
    await registry.applyConfigurationContentOnDevice('n-edge', { modulesContent: { $edgeAgent: agent } });
    assert.strictEqual(body(await registry.getModulesOnDevice('n-edge')).length, 3);
  },

  async 'jobs: a twin update, cancelled ones, the list'() {
    await device('n-job');
    const patch = { etag: '*', tags: { jobbed: true }, properties: { desired: {}, reported: {} } };
    const done = async (id) => eventually(async () => {
      const job = body(await jobs.getJob(id));
      return ['completed', 'failed', 'cancelled'].includes(job.status) ? job : null;
    });
    const first = body(await jobs.scheduleTwinUpdate('n-job-1', "deviceId = 'n-job'", patch, new Date(), 120));
    assert.strictEqual(first.status, 'queued');
    assert.strictEqual((await done('n-job-1')).deviceJobStatistics.succeededCount, 1);
    assert.strictEqual(body(await registry.getTwin('n-job')).tags.jobbed, true);
    const later = new Date(Date.now() + 3600000);
    await jobs.scheduleDeviceMethod('n-job-2', "deviceId = 'n-job'", { methodName: 'x', payload: null, timeoutInSeconds: 30 }, later, 120);
    await refused(() => jobs.scheduleTwinUpdate('n-job-3', '*', patch, new Date(), 120), 429);
    await jobs.cancelJob('n-job-2');
    assert.strictEqual((await done('n-job-2')).status, 'cancelled');
    const query = jobs.createQuery('scheduleUpdateTwin', 'completed');
    assert.deepStrictEqual((await query.next()).result.map((job) => job.jobId), ['n-job-1']);
    const rows = (await registry.createQuery("SELECT * FROM devices.jobs WHERE devices.jobs.deviceId = 'n-job'").next()).result;
    assert.deepStrictEqual(rows.map((row) => row.status), ['completed']);
  },

  async 'a device over MQTT'() {
    const key = await device('n-mqtt');
    const text = `HostName=localhub.test;GatewayHostName=${gateway};DeviceId=n-mqtt;SharedAccessKey=${key}`;
    await deviceLife('n-mqtt', Device.fromConnectionString(text, Mqtt));
  },

  async 'a device over MQTT by WebSocket, through a proxy'() {
    const key = await device('n-ws');
    const client = Device.fromConnectionString(`HostName=localhub.test;DeviceId=n-ws;SharedAccessKey=${key}`, MqttWs);
    client.setOptions({ mqtt: { webSocketAgent: new HttpsProxyAgent(proxy) } });
    await deviceLife('n-ws', client);
  },

  async 'a module over MQTT'() {
    await device('n-m');
    const made = body(await registry.addModule({ deviceId: 'n-m', moduleId: 'm' }));
    const key = made ? made.authentication.symmetricKey.primaryKey : body(await registry.getModule('n-m', 'm')).authentication.symmetricKey.primaryKey;
    const text = `HostName=localhub.test;GatewayHostName=${gateway};DeviceId=n-m;ModuleId=m;SharedAccessKey=${key}`;
    await connected(ModuleClient.fromConnectionString(text, Mqtt), async (client) => {
      const twin = await client.getTwin();
      assert.strictEqual(twin.properties.desired.$version, 1);
      await client.sendOutputEvent('out', new Message('x'));
    });
  },

  async 'a method of a device that is away'() {
    await device('n-away');
    await refused(() => service.invokeDeviceMethod('n-away', { methodName: 'x', responseTimeoutInSeconds: 5 }), 404);
  },
};

(async () => {
  assert(host);
  for (const [name, check] of Object.entries(checks)) {
    let problem = null;
    try {
      await check();
    } catch (error) {
      problem = error.stack || String(error);
    }
    console.log(JSON.stringify([name, problem]));
  }
  process.exit(0);
})();
