// The data stands in the file.
start(JSON.parse(byId("data").textContent));
