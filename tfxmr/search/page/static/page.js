// Images that are dropped or pasted, and a word on large ones before they are sent. All else works without.
"use strict";

const form = document.getElementById("ask");
const chooser = document.getElementById("image");
const send = document.getElementById("send");
const most = Number(form.dataset.most) * 1e6;

if (chooser) { // the index has images
  document.getElementById("drop").hidden = false;
}

function refuse(told) {
  let place = document.getElementById("refused");
  if (!place) {
    place = document.createElement("p");
    place.id = "refused";
    place.className = "refused";
    place.setAttribute("role", "alert");
    form.querySelector(".kinds").after(place);
  }
  place.textContent = told;
}

function take(files) {
  const image = [...files].find((file) => file.type.startsWith("image/"));
  if (!image || !chooser) {
    refuse(chooser ? "What was dropped is no image." : "Images are not taken here.");
    return;
  }
  const held = new DataTransfer();
  held.items.add(image);
  chooser.files = held.files;
  form.querySelector("[name=by][value=image]").checked = true;
  form.requestSubmit(send);
}

form.addEventListener("submit", (event) => {
  if (form.querySelector("[name=by]:checked").value !== "image") {
    return;
  }
  const file = chooser.files[0];
  if (file && file.size > most) {
    event.preventDefault();
    refuse(`${file.name} has ${(file.size / 1e6).toFixed(1)} MB, more than ${form.dataset.most}: save it smaller.`);
  } else if (file && event.submitter !== send) { // Enter in a field takes the first button, which sends no file
    event.preventDefault();
    form.requestSubmit(send);
  }
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) {
    event.preventDefault();
    take(event.clipboardData.files);
  }
});

for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, (event) => {
    if (event.dataTransfer.types.includes("Files")) {
      event.preventDefault();
      form.classList.add("dropping");
    }
  });
}
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) {
    form.classList.remove("dropping");
  }
});
document.addEventListener("drop", (event) => {
  form.classList.remove("dropping");
  if (event.dataTransfer.files.length) {
    event.preventDefault();
    take(event.dataTransfer.files);
  }
});
