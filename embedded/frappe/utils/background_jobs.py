"""Jobs on RQ, as Frappe 15 runs them: committed on success, logged on failure, re-run on deadlock."""

import time
import uuid

import frappe
import redis
from frappe import _
from frappe.exceptions import refuse
from rq import Callback, Queue, Worker
from rq.exceptions import NoSuchJobError
from rq.job import Job, JobStatus

TIMEOUTS = {"short": 300, "default": 300, "long": 1500}
QUEUES = ("short", "default", "long")


def get_redis_conn(username=None, password=None):
	url = frappe.local.conf.get("redis_queue")
	if not url:
		raise redis.exceptions.ConnectionError("redis_queue is not set in site_config.json")
	return redis.Redis.from_url(url, socket_connect_timeout=2)


def generate_qname(qtype):
	return f"embedded:{qtype}"


def get_queues_timeout():
	return TIMEOUTS


def get_queue_list(queue_list=None, build_queue_name=False):
	names = list(queue_list or QUEUES)
	return [generate_qname(q) for q in names] if build_queue_name else names


def get_queue(qtype, is_async=True):
	"""The queue; redis.exceptions.ConnectionError when Redis does not answer."""
	if qtype not in QUEUES:
		frappe.throw(_("Queue should be one of {0}").format(", ".join(QUEUES)))
	connection = get_redis_conn()
	connection.ping()
	return Queue(generate_qname(qtype), connection=connection, is_async=is_async)


def get_queues(connection=None):
	connection = connection or get_redis_conn()
	return [Queue(generate_qname(q), connection=connection) for q in QUEUES]


def get_workers(queue=None):
	return Worker.all(queue=queue) if queue else Worker.all(get_redis_conn())


def get_running_jobs_in_queue(queue):
	return [w.get_current_job() for w in Worker.all(queue=queue)]


def create_job_id(job_id=None):
	return f"{frappe.local.site}::{job_id or uuid.uuid4()}"


def get_job(job_id):
	try:
		return Job.fetch(create_job_id(job_id), connection=get_redis_conn())
	except NoSuchJobError:
		return None


def get_job_status(job_id):
	job = get_job(job_id)
	return job.get_status() if job else None


def is_job_enqueued(job_id):
	return get_job_status(job_id) in (JobStatus.QUEUED, JobStatus.STARTED)


def get_jobs(site=None, queue=None, key="method"):
	"""Methods queued per site."""
	found = {}
	for q in get_queues():
		if queue in (None, q.name, q.name.rpartition(":")[2]):
			for job in q.jobs:
				found.setdefault(job.kwargs["site"], []).append(job.kwargs.get(key))
	return {site: found.get(site, [])} if site else found


def enqueue(
	method,
	queue="default",
	timeout=None,
	event=None,
	is_async=True,
	job_name=None,
	now=False,
	enqueue_after_commit=False,
	*,
	on_success=None,
	on_failure=None,
	at_front=False,
	job_id=None,
	deduplicate=False,
	**kwargs,
):
	"""Put a call on a queue. Deduplication looks at the queue now, not when the commit happens."""
	is_async = kwargs.pop("async", is_async)
	if deduplicate:
		if not job_id:
			frappe.throw(_("`job_id` paramater is required for deduplication."))
		if job := get_job(job_id):
			if job.get_status() in (JobStatus.QUEUED, JobStatus.STARTED):
				return
			job.delete()
	job_id = create_job_id(job_id)
	if now or (not is_async and not frappe.flags.in_test):
		return frappe.call(method, **kwargs)
	try:
		q = get_queue(queue, is_async=is_async)
	except redis.exceptions.ConnectionError:
		if frappe.local.flags.in_migrate:
			return frappe.call(method, **kwargs)
		raise
	method_name = method if isinstance(method, str) else f"{method.__module__}.{method.__qualname__}"
	arguments = {
		"site": frappe.local.site,
		"user": frappe.session.user,
		"method": method,
		"event": event,
		"job_name": job_name or method_name,
		"is_async": is_async,
		"kwargs": kwargs,
	}

	def enqueue_call():
		return q.enqueue_call(
			execute_job,
			on_success=Callback(on_success) if on_success else None,
			on_failure=Callback(on_failure) if on_failure else None,
			timeout=timeout or TIMEOUTS[queue],
			kwargs=arguments,
			at_front=at_front,
			failure_ttl=7 * 86400,
			result_ttl=600,
			job_id=job_id,
		)

	if enqueue_after_commit:
		frappe.db.after_commit.add(enqueue_call)
		return
	return enqueue_call()


def enqueue_doc(doctype, name=None, method=None, queue="default", timeout=300, now=False, **kwargs):
	refuse("enqueue_doc; enqueue a function and pass the name")


def execute_job(site, method, event, job_name, kwargs, user=None, is_async=True, retry=0):
	"""Run one job. After a deadlock or RetryBackgroundJobError the WHOLE function runs again, up to five
	times, and then as Administrator: Frappe does not hand the user on."""
	if is_async:
		frappe.init(site=site)
		frappe.connect()
		if user:
			frappe.set_user(user)
	name = method if isinstance(method, str) else f"{method.__module__}.{method.__qualname__}"
	if isinstance(method, str):
		method = frappe.get_attr(method)
	frappe.local.job = frappe._dict(site=site, method=name, job_name=job_name, kwargs=kwargs, user=user)
	for task in frappe.get_hooks("before_job"):
		frappe.call(task, method=name, kwargs=kwargs, transaction_type="job")
	result, again = None, False
	try:
		result = method(**kwargs)
	except (frappe.QueryDeadlockError, frappe.QueryTimeoutError, frappe.RetryBackgroundJobError):
		frappe.db.rollback()
		again = retry < 5
		if not again:
			frappe.log_error(title=name)
			frappe.db.commit()
			raise
	except Exception:
		frappe.db.rollback()
		frappe.log_error(title=name)
		frappe.db.commit()
		print(frappe.get_traceback())
		raise
	else:
		frappe.db.commit()
	finally:
		for task in frappe.get_hooks("after_job"):
			frappe.call(task, method=name, kwargs=kwargs, result=result)
		if is_async:
			frappe.destroy()
	if again:
		time.sleep((retry + 1) * RETRY_PAUSE)
		return execute_job(site, method, event, job_name, kwargs, is_async=is_async, retry=retry + 1)
	return result


RETRY_PAUSE = 1.0
