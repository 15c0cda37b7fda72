"use strict";
(function () {
  var element = function (id) { return document.getElementById(id); };
  var list = element("list");
  if (!list) return;
  var results = JSON.parse(element("slm-results").textContent);
  var data = JSON.parse(element("slm-samples").textContent);
  var total = data.ids.length;
  var reviews = {};
  JSON.parse(element("slm-reviews").textContent).forEach(function (review) {
    (reviews["_" + review.id] = reviews["_" + review.id] || []).push(review);
  });
  var names = results.systems.map(function (system) { return system.name; });
  var PAGE = 50;
  var shown = [];
  var page = 0;
  var cursor = 0;
  var opened = -1;

  // Everything that came from a model or a file goes through here, and only as text.
  function visible(text) {
    return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, function (c) {
      var code = c.charCodeAt(0);
      if (code < 32) return String.fromCharCode(0x2400 + code);
      if (code === 127) return "\u2421";
      return "\u27e8U+" + code.toString(16).toUpperCase().padStart(4, "0") + "\u27e9";
    });
  }
  function make(tag, className, text) {
    var node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = visible(text);
    return node;
  }
  // How a system did on a row, from the index alone.
  function judged(row, system) {
    var mark = data.marks[system].charCodeAt(row);
    return { right: mark === 49, cause: mark > 96 ? data.causes[mark - 97] : "" };
  }
  function inWords(found) { return found.right ? "right" : found.cause ? found.cause.replace("_", " ") : "wrong"; }

  // ---- texts: packed in blocks, unpacked when looked at, the last used kept
  var KEPT = 80000000;
  var kept = new Map(), keptLength = 0;
  function blockOf(row) {
    var low = 0, high = data.starts.length - 1;
    while (low < high) {
      var middle = (low + high + 1) >> 1;
      if (data.starts[middle] <= row) low = middle; else high = middle - 1;
    }
    return low;
  }
  // The JSON of a block, as a promise.
  function unpack(block) {
    var known = kept.get(block);
    if (known) {
      kept.delete(block);
      kept.set(block, known);
      return known.text;
    }
    var letters = atob(data.blocks[block]), bytes = new Uint8Array(letters.length);
    for (var i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
    // Written straight into the stream: through a Blob it takes twice as long.
    var stream = new DecompressionStream("deflate"), writer = stream.writable.getWriter();
    writer.write(bytes).catch(function () { /* told by the reading side */ });
    writer.close().catch(function () { /* told by the reading side */ });
    var entry = { length: 0, text: new Response(stream.readable).text() };
    kept.set(block, entry);
    entry.text.then(function (text) {
      entry.length = text.length;
      keptLength += text.length;
      kept.forEach(function (old, key) {
        if (keptLength <= KEPT || key === block || !old.length) return;
        kept.delete(key);
        keptLength -= old.length;
      });
    }, failed);
    return entry.text;
  }
  function failed(error) {
    element("count").textContent = "The texts cannot be unpacked" + (typeof DecompressionStream === "undefined" ? ": this browser is older than 2023" : ": the file is damaged (" + error + ")");
  }
  // The texts of these rows in their order, as a promise.
  function fetchTexts(places) {
    var blocks = {};
    return Promise.all(places.map(function (row) {
      var block = blockOf(row);
      blocks[block] = blocks[block] || unpack(block).then(JSON.parse);
      return blocks[block].then(function (texts) { return asRow(row, texts[row - data.starts[block]]); });
    }));
  }
  function asRow(row, texts) {
    var at = function (list, system) { return list.length && list[system] !== null ? list[system] : null; };
    return {
      id: data.ids[row], question: texts[0], target: texts[1],
      tags: data.tags[row].map(function (place) { return data.tag_names[place]; }),
      answers: names.map(function (name, system) {
        var found = judged(row, system);
        found.output = texts[2][system] === null ? texts[1] : texts[2][system];
        found.latency = at(texts[3], system);
        found.confidence = at(texts[4], system);
        return found;
      })
    };
  }
  var OPINIONS = { agree: "agree", disagree: "judged wrongly", bad_target: "wrong target" };

  // ---- filters
  function matches(row, filter, system, tag) {
    if (tag >= 0 && data.tags[row].indexOf(tag) < 0) return false;
    if (filter === "failures") return !judged(row, system).right;
    if (filter === "right") return judged(row, system).right;
    if (filter === "reviewed") return Boolean(reviews["_" + data.ids[row]]);
    if (filter === "unjudged") return Boolean(judged(row, system).cause);
    if (filter === "disagreements" || filter === "all-wrong") {
      var right = 0;
      for (var i = 0; i < names.length; i++) if (judged(row, i).right) right++;
      return filter === "all-wrong" ? right === 0 : right > 0 && right < names.length;
    }
    return true;
  }
  // A later filter ends the search of an earlier one.
  var searching = 0;
  function apply() {
    var filter = element("filter").value, system = +element("system").value;
    var tag = element("tag").value === "" ? -1 : +element("tag").value;
    var words = element("search").value.trim().toLowerCase();
    var found = [];
    searching++;
    for (var i = 0; i < total; i++) if (matches(i, filter, system, tag)) found.push(i);
    if (words) search(found, words, searching); else show(found);
  }
  function show(found) {
    shown = found;
    page = 0;
    cursor = 0;
    return draw();
  }
  function holds(row, words) {
    return row.some(function (part) {
      return Array.isArray(part) ? holds(part, words) : typeof part === "string" && part.toLowerCase().indexOf(words) >= 0;
    });
  }
  // Block by block; only a block whose JSON holds the words is read as JSON.
  async function search(among, words, turn) {
    var found = [], written = JSON.stringify(words).slice(1, -1), at = 0, told = Date.now();
    try {
      for (var block = 0; block < data.blocks.length && at < among.length; block++) {
        var end = block + 1 < data.starts.length ? data.starts[block + 1] : total, first = at;
        while (at < among.length && among[at] < end) at++;
        if (at === first) continue;
        var text = await unpack(block);
        if (turn !== searching) return;
        var texts = text.toLowerCase().indexOf(written) < 0 ? null : JSON.parse(text);
        for (var i = first; i < at; i++) {
          var row = among[i];
          if (data.ids[row].toLowerCase().indexOf(words) >= 0 || (texts && holds(texts[row - data.starts[block]], words))) found.push(row);
        }
        if (Date.now() - told > 100) {
          told = Date.now();
          element("count").textContent = "searched " + Math.floor(100 * at / among.length) + "%, " + found.length.toLocaleString("en") + " found so far";
          // Lets the page answer to keys meanwhile.
          await new Promise(function (done) { setTimeout(done); });
          if (turn !== searching) return;
        }
      }
      show(found);
    } catch (error) { failed(error); }
  }

  // ---- the list
  function head() {
    var row = document.createElement("tr");
    [["marks", "Answers"], ["question", "Prompt"], ["target", "Target"], ["id", "Id"]].forEach(function (column) {
      var cell = make("th", column[0], column[1]);
      cell.scope = "col";
      row.appendChild(cell);
    });
    list.tHead.appendChild(row);
  }
  function oneLine(text) { return text.slice(0, 400).replace(/\s+/g, " "); }
  function marks(row) {
    var cell = make("td", "marks");
    names.forEach(function (name, system) {
      var found = row.answers[system];
      var mark = make("span", found.right ? "mark-right" : found.cause ? "mark-none" : "mark-wrong", found.right ? "\u2713" : found.cause ? "\u2205" : "\u2717");
      mark.title = visible(name + ": " + inWords(found));
      cell.appendChild(mark);
    });
    return cell;
  }
  // The rows of the page, as a promise; a later page that is there sooner is kept.
  var drawing = 0;
  function draw() {
    var start = page * PAGE, turn = ++drawing;
    var pages = Math.max(1, Math.ceil(shown.length / PAGE));
    element("page").textContent = (page + 1).toLocaleString("en") + " of " + pages.toLocaleString("en");
    element("previous").disabled = page === 0;
    element("next").disabled = page + 1 >= pages;
    element("pager").hidden = pages === 1;
    return fetchTexts(shown.slice(start, start + PAGE)).then(function (rows) {
      if (turn !== drawing) return;
      var body = document.createElement("tbody");
      rows.forEach(function (row, place) {
        var line = document.createElement("tr");
        line.tabIndex = place === cursor ? 0 : -1;
        line.dataset.place = start + place;
        line.appendChild(marks(row));
        line.appendChild(make("td", "question", oneLine(row.question)));
        line.appendChild(make("td", "target mono", oneLine(row.target)));
        line.appendChild(make("td", "id", row.id));
        body.appendChild(line);
      });
      list.replaceChild(body, list.tBodies[0]);
      element("count").textContent = shown.length.toLocaleString("en") + " of " + total.toLocaleString("en") + " samples" +
        (data.cut ? "; texts are cut after " + data.cut.toLocaleString("en") + " characters to keep this file small" : "");
    }).catch(failed);
  }
  function turn(by) {
    var pages = Math.ceil(shown.length / PAGE);
    if (page + by < 0 || page + by >= pages) return;
    page += by;
    cursor = 0;
    draw();
  }
  function move(by) {
    var lines = list.tBodies[0].rows;
    if (!lines.length) return;
    if (lines[cursor]) lines[cursor].tabIndex = -1;
    cursor = Math.max(0, Math.min(lines.length - 1, cursor + by));
    lines[cursor].tabIndex = 0;
    lines[cursor].focus();
  }

  // ---- differences
  function pretty(text) {
    try {
      var value = JSON.parse(text);
      if (value !== null && typeof value === "object") return JSON.stringify(value, null, 2);
    } catch (error) { /* not JSON: shown as it is */ }
    return text;
  }
  // Tokens of `to` marked as same or added and those of `from` as removed, by the
  // longest common subsequence; only prefix and suffix where texts are long.
  function difference(from, to) {
    var split = /(\s+|[{}\[\]",:.;!?()])/;
    var a = from.split(split).filter(Boolean), b = to.split(split).filter(Boolean);
    var start = 0, end = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    var x = a.slice(start, a.length - end), y = b.slice(start, b.length - end), middle = [];
    if (x.length * y.length > 1000000) {
      middle = [["del", x.join("")], ["ins", y.join("")]];
    } else {
      var width = y.length + 1, table = new Uint16Array((x.length + 1) * width);
      for (var i = x.length - 1; i >= 0; i--) for (var j = y.length - 1; j >= 0; j--) {
        table[i * width + j] = x[i] === y[j] ? table[(i + 1) * width + j + 1] + 1 : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
      var p = 0, q = 0;
      while (p < x.length || q < y.length) {
        if (p < x.length && q < y.length && x[p] === y[q]) { middle.push(["", x[p]]); p++; q++; }
        else if (q >= y.length || (p < x.length && table[(p + 1) * width + q] >= table[p * width + q + 1])) middle.push(["del", x[p++]]);
        else middle.push(["ins", y[q++]]);
      }
    }
    return [["", a.slice(0, start).join("")]].concat(middle, [["", a.slice(a.length - end).join("")]]);
  }
  function marked(target, output) {
    var block = document.createElement("pre");
    // What does not parse is compared as it stands, or every space would differ.
    var parsed = pretty(output) !== output || output === pretty(target);
    difference(parsed ? pretty(target) : target, parsed ? pretty(output) : output).forEach(function (part) {
      if (!part[1]) return;
      if (part[0]) block.appendChild(make(part[0], "", part[1]));
      else block.appendChild(document.createTextNode(visible(part[1])));
    });
    return block;
  }

  // ---- one sample
  function block(title, remark, content) {
    var box = make("div", "block"), heading = make("h4", "", title);
    if (remark) heading.appendChild(remark);
    box.appendChild(heading);
    box.appendChild(content);
    return box;
  }
  function button(text, action) {
    var node = make("button", "", text);
    node.type = "button";
    node.addEventListener("click", action);
    return node;
  }
  function open(place) {
    if (place < 0 || place >= shown.length) return;
    opened = place;
    fetchTexts([shown[place]]).then(function (rows) { if (opened === place) detail(place, rows[0]); }).catch(failed);
  }
  function detail(place, row) {
    var body = element("detail-body");
    body.textContent = "";
    var bar = make("div", "bar");
    bar.appendChild(make("h3", "", row.id));
    var previous = button("Previous", function () { open(opened - 1); }), next = button("Next", function () { open(opened + 1); });
    previous.disabled = place === 0;
    next.disabled = place + 1 >= shown.length;
    bar.appendChild(previous);
    bar.appendChild(next);
    bar.appendChild(button("Close", function () { element("detail").close(); }));
    body.appendChild(bar);
    if (row.tags.length) body.appendChild(make("p", "aside", row.tags.join(", ")));
    body.appendChild(block("Prompt", null, make("pre", "", row.question)));
    body.appendChild(block("Target", null, make("pre", "", pretty(row.target))));
    var answers = make("div", "pair");
    names.forEach(function (name, system) {
      var found = row.answers[system], words = inWords(found);
      if (found.latency !== null) words += ", " + (found.latency >= 1000 ? (found.latency / 1000).toFixed(2) + " s" : found.latency.toPrecision(3) + " ms");
      if (found.confidence !== null) words += ", sure by " + found.confidence.toFixed(3);
      var remark = make("small", found.right ? "mark-right" : "mark-wrong", words);
      answers.appendChild(block(name, remark, found.right ? make("pre", "", pretty(found.output)) : marked(row.target, found.output)));
    });
    body.appendChild(answers);
    (reviews["_" + row.id] || []).forEach(function (review) {
      body.appendChild(make("p", "review", review.reviewer + ": " + (OPINIONS[review.opinion] || "comment") + (review.comment ? " \u2013 " + review.comment : "")));
    });
    if (!element("detail").open) element("detail").showModal();
    body.parentNode.scrollTop = 0;
    history.replaceState(null, "", "#sample=" + encodeURIComponent(row.id));
  }

  // ---- events
  element("controls").addEventListener("submit", function (event) { event.preventDefault(); });
  ["filter", "system", "tag"].forEach(function (id) { element(id).addEventListener("change", apply); });
  var waiting;
  element("search").addEventListener("input", function () { clearTimeout(waiting); waiting = setTimeout(apply, 150); });
  element("previous").addEventListener("click", function () { turn(-1); });
  element("next").addEventListener("click", function () { turn(1); });
  list.addEventListener("click", function (event) {
    var line = event.target.closest("tr[data-place]");
    if (line) { cursor = +line.dataset.place - page * PAGE; open(+line.dataset.place); }
  });
  document.addEventListener("keydown", function (event) {
    var writing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (element("detail").open) {
      if (event.key === "j" || event.key === "ArrowRight") open(opened + 1);
      if (event.key === "k" || event.key === "ArrowLeft") open(opened - 1);
      return;
    }
    if (writing) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.key === "/") { event.preventDefault(); element("search").focus(); }
    else if (event.key === "j") move(1);
    else if (event.key === "k") move(-1);
    else if (event.key === "[") turn(-1);
    else if (event.key === "]") turn(1);
    else if (event.key === "Enter" && event.target.dataset && event.target.dataset.place) open(+event.target.dataset.place);
    else if (list.contains(event.target) && (event.key === "ArrowDown" || event.key === "ArrowUp")) { event.preventDefault(); move(event.key === "ArrowDown" ? 1 : -1); }
  });

  var order = data.tag_names.map(function (name, place) { return place; }).sort(function (a, b) { return data.tag_names[a] < data.tag_names[b] ? -1 : 1; });
  order.slice(0, 500).forEach(function (place) {
    var option = make("option", "", data.tag_names[place]);
    option.value = place;
    element("tag").appendChild(option);
  });
  element("tag").parentNode.hidden = !order.length;
  element("detail").addEventListener("close", function () { history.replaceState(null, "", "#samples"); move(0); });
  head();
  apply();
  // A link to one sample opens it.
  var linked = location.hash.indexOf("#sample=") === 0 && location.hash.slice(8);
  if (linked) {
    var at = data.ids.findIndex(function (id) { return encodeURIComponent(id) === linked; });
    if (at >= 0) open(at);
  }
})();
